package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/chaos/invariant"
)

// auditPolicy keeps what the load and our own processes ask for, and nothing else.
var auditPolicy = fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: [%q], verbs: [create, update, patch]}
- {level: Metadata, userGroups: ["system:serviceaccounts:%s"]}
- {level: Metadata, users: ["system:serviceaccount:kube-system:forewarm-extender"]}
- {level: None}
`, writer, v1alpha1.SystemNamespace)

// requests reads the load's requests from an audit log.
func requests(path string) ([]invariant.Request, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	var all []invariant.Request
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			AuditID        string
			User           struct{ Username string }
			ResponseStatus struct{ Code int }
			StageTimestamp time.Time
			Annotations    map[string]string
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.User.Username != writer {
			continue // a line may be half written where its API server was killed
		}
		all = append(all, invariant.Request{ID: event.AuditID, Code: event.ResponseStatus.Code, Completed: event.StageTimestamp, Annotations: event.Annotations})
	}
	return all, lines.Err()
}
