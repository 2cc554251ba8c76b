package wire

import "sync"

// Names are the names of the nodes as strings, so that a request, which mostly names known
// nodes, need not make them anew. They have a lock of their own: a request is read even while
// nothing can be decided.
type Names struct {
	mu    sync.RWMutex
	known map[string]string
}

// Add makes a name known.
func (n *Names) Add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]string{}
	}
	n.known[name] = name
}

// Remove forgets a name.
func (n *Names) Remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, name)
}

// Decode decodes a request with the strings of known names.
func (n *Names) Decode(body []byte) (*Nodes, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return DecodeNodes(body, func(b []byte) string {
		if name, ok := n.known[string(b)]; ok {
			return name
		}
		return string(b)
	})
}
