package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"forewarm.dev/api/v1alpha1"
)

// accounts are the ServiceAccounts of Forewarm: all of its namespace, and the extender's.
var (
	accountGroup = "system:serviceaccounts:" + v1alpha1.SystemNamespace
	accountUser  = "system:serviceaccount:kube-system:forewarm-extender"
)

// ourAuditPolicy records what our own accounts ask for, and nothing else.
var ourAuditPolicy = fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: [%q]}
- {level: Metadata, users: [%q]}
- {level: None}
`, accountGroup, accountUser)

// Forbidden lists, from an audit log, what RBAC did not let our ServiceAccounts do, each once and in
// order. What admission refused is not among it.
func Forbidden(auditLog string) ([]string, error) {
	file, err := os.Open(auditLog)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nobody of ours has asked for anything
	}
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	refused := map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb, RequestURI string
			User             struct {
				Username string
				Groups   []string
			}
			Annotations map[string]string
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue // the last line may be half written
		}
		if event.User.Username != accountUser && !slices.Contains(event.User.Groups, accountGroup) {
			continue
		}
		if event.Annotations["authorization.k8s.io/decision"] == "forbid" {
			path, _, _ := strings.Cut(event.RequestURI, "?")
			refused[fmt.Sprintf("%s may not %s %s", event.User.Username, event.Verb, path)] = true
		}
	}
	out := make([]string, 0, len(refused))
	for what := range refused {
		out = append(out, what)
	}
	slices.Sort(out)
	return out, lines.Err()
}
