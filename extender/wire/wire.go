// Package wire reads and writes the bodies of the scheduler's extender protocol
// (k8s.io/kube-scheduler/extender/v1).
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// Nodes is a decoded filter or prioritize request.
type Nodes struct {
	Pod *corev1.Pod
	// Names are the nodes, each once.
	Names []string
	// Whole are the whole nodes by name, where the scheduler sent such; else nil.
	Whole map[string]*corev1.Node
}

// DecodeNodes decodes the body of filter and prioritize. What the scheduler writes with
// nodeCacheCapable is cut at known places, which costs a tenth; anything else is decoded as any
// JSON. intern is the known string of a name.
func DecodeNodes(body []byte, intern func([]byte) string) (*Nodes, error) {
	if pod, names, ok := cut(body); ok {
		c := &Nodes{Pod: &corev1.Pod{}}
		if err := json.Unmarshal(pod, c.Pod); err != nil {
			return nil, notProtocol(err)
		}
		if c.Names, ok = splitNames(names, intern); ok {
			return c, nil
		}
	}
	var args extenderv1.ExtenderArgs
	if err := json.Unmarshal(body, &args); err != nil {
		return nil, notProtocol(err)
	}
	if err := checkNodes(&args); err != nil {
		return nil, err
	}
	c := &Nodes{Pod: args.Pod}
	if args.NodeNames != nil {
		c.Names = unique(*args.NodeNames)
		return c, nil
	}
	c.Whole = make(map[string]*corev1.Node, len(args.Nodes.Items))
	names := make([]string, len(args.Nodes.Items))
	for i := range args.Nodes.Items {
		names[i] = args.Nodes.Items[i].Name
		c.Whole[names[i]] = &args.Nodes.Items[i]
	}
	c.Names = unique(names)
	return c, nil
}

// checkNodes refuses requests that lack what every answer needs.
func checkNodes(a *extenderv1.ExtenderArgs) error {
	if a.Pod == nil {
		return errors.New("field Pod is missing")
	}
	if (a.Nodes == nil) == (a.NodeNames == nil) {
		return errors.New("exactly one of Nodes and NodeNames must be given")
	}
	return nil
}

func notProtocol(err error) error {
	return fmt.Errorf("the body is not a request of the extender protocol: %w", err)
}

func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	kept := names[:0:0]
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			kept = append(kept, name)
		}
	}
	return kept
}

// The parts of a request between which its pod and its names stand.
var (
	beforePod   = []byte(`{"Pod":`)
	beforeNames = []byte(`,"Nodes":null,"NodeNames":[`)
	afterNames  = []byte(`]}`)
)

// cut finds pod and names in a body as the scheduler encodes it; ok is false for any other.
func cut(body []byte) (pod, names []byte, ok bool) {
	rest, found := bytes.CutPrefix(body, beforePod)
	if !found {
		return nil, nil, false
	}
	end := endOfObject(rest)
	if end < 0 {
		return nil, nil, false
	}
	pod = rest[:end]
	rest, found = bytes.CutPrefix(rest[end:], beforeNames)
	if !found {
		return nil, nil, false
	}
	names, ok = bytes.CutSuffix(bytes.TrimRight(rest, " \n"), afterNames)
	return pod, names, ok
}

// endOfObject is where the JSON object ends that b begins with; below zero if it does not.
func endOfObject(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0:
			return -1
		}
	}
	return -1
}

// sets are those of the names of a request.
var sets = sync.Pool{New: func() any { return map[string]struct{}{} }}

// splitNames reads the elements of an array of plain strings, each different; ok is false where
// they are not that.
func splitNames(b []byte, intern func([]byte) string) (names []string, ok bool) {
	if len(b) == 0 {
		return []string{}, true
	}
	names = make([]string, 0, bytes.Count(b, []byte{','})+1)
	seen := sets.Get().(map[string]struct{})
	defer func() {
		clear(seen)
		sets.Put(seen)
	}()
	for {
		if len(b) < 2 || b[0] != '"' {
			return nil, false
		}
		end := bytes.IndexByte(b[1:], '"')
		if end < 0 || !plainText(b[1:1+end]) {
			return nil, false
		}
		name := intern(b[1 : 1+end])
		if _, twice := seen[name]; !twice {
			seen[name] = struct{}{}
			names = append(names, name)
		}
		if b = b[2+end:]; len(b) == 0 {
			return names, true
		}
		if b[0] != ',' {
			return nil, false
		}
		b = b[1:]
	}
}

// plainText tells whether a string reads the same in JSON and as it is.
func plainText[T []byte | string](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	if plainText(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	text, err := json.Marshal(s)
	if err != nil { // strings can always be written
		return append(b, `""`...)
	}
	return append(b, text...)
}

// AppendNames writes an ExtenderFilterResult of names.
func AppendNames(b []byte, passed []string, refused map[string]string) []byte {
	b = append(b, `{"Nodes":null,"NodeNames":[`...)
	for i, name := range passed {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, name)
	}
	b = append(b, `],"FailedNodes":null,"FailedAndUnresolvableNodes":`...)
	b = appendRefused(b, refused)
	return append(b, `,"Error":""}`...)
}

func appendRefused(b []byte, refused map[string]string) []byte {
	if refused == nil {
		return append(b, `null`...)
	}
	b = append(b, '{')
	first := true
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendText(append(appendText(b, name), ':'), refused[name])
	}
	return append(b, '}')
}

// AppendScores writes a HostPriorityList of what each node's score is above the lowest, and leaves out
// those that are not above it: the scheduler adds zero to a node that the list does not name, and takes
// the highest sum; of equal ones, from Kubernetes 1.35 on, a node that is named. Most nodes of a cluster
// are alike for a pod, and hundreds of scores are long to read.
func AppendScores(b []byte, names []string, scores []int64) []byte {
	b = append(b, '[')
	if len(scores) == 0 {
		return append(b, ']')
	}
	lowest, first := slices.Min(scores), true
	for i, name := range names {
		above := scores[i] - lowest
		if above == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendText(append(b, `{"Host":`...), name)
		b = append(strconv.AppendInt(append(b, `,"Score":`...), above, 10), '}')
	}
	return append(b, ']')
}
