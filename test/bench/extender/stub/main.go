// Command stub is an extender that thinks nothing: it passes every node and prefers none. With
// --json it decodes and encodes like a plain one, without it looks for the names only, which
// costs as little as an extender can.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

func main() {
	address := pflag.String("address", "127.0.0.1:8888", "where calls are served, and /metrics and /readyz")
	plain := pflag.Bool("json", false, "decode and encode every call with encoding/json")
	pflag.Parse()
	s := &stub{plain: *plain}
	// The scheduler's connections rest for 90 s otherwise, and scheduler_perf waits for them.
	web := &http.Server{Addr: *address, Handler: s, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 4 * time.Second}
	fmt.Fprintln(os.Stderr, web.ListenAndServe())
	os.Exit(1)
}

type stub struct {
	plain        bool
	calls, bytes atomic.Int64
}

// ServeHTTP answers verbs, and how often it was asked under the names of Forewarm's metrics.
func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/readyz":
		return
	case "/metrics":
		fmt.Fprintf(w, "forewarm_extender_requests_total %d\nbench_extender_bytes_total %d\n", s.calls.Load(), s.bytes.Load())
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.calls.Add(1)
	s.bytes.Add(int64(len(body)))
	w.Header().Set("Content-Type", "application/json")
	answer, err := s.answer(r.URL.Path, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write(answer)
}

func (s *stub) answer(path string, body []byte) ([]byte, error) {
	if s.plain {
		return plainAnswer(path, body)
	}
	if path == "/prioritize" {
		return []byte("[]"), nil
	}
	at := bytes.LastIndex(body, []byte(`"NodeNames":[`))
	if at < 0 {
		return nil, fmt.Errorf("no names in %.100s", body)
	}
	return append([]byte{'{'}, body[at:]...), nil
}

// plainAnswer does what most extenders do: all of it in encoding/json, a score for every node.
func plainAnswer(path string, body []byte) ([]byte, error) {
	var args extenderv1.ExtenderArgs
	if err := json.Unmarshal(body, &args); err != nil || args.NodeNames == nil {
		return nil, fmt.Errorf("no names in the call: %w", err)
	}
	if path != "/prioritize" {
		return json.Marshal(extenderv1.ExtenderFilterResult{NodeNames: args.NodeNames})
	}
	scores := extenderv1.HostPriorityList{}
	for _, name := range *args.NodeNames {
		scores = append(scores, extenderv1.HostPriority{Host: name})
	}
	return json.Marshal(scores)
}
