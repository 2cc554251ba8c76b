package handler

import "sync"

// nodeNames are the names of the nodes as strings, so that a request, which mostly names known
// nodes, need not make them anew. They have a lock of their own: a request is read even while
// nothing can be decided.
type nodeNames struct {
	mu    sync.RWMutex
	known map[string]string
}

func (n *nodeNames) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]string{}
	}
	n.known[name] = name
}

func (n *nodeNames) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, name)
}

// reader returns how to find the string of a name, until done is called.
func (n *nodeNames) reader() (intern func([]byte) string, done func()) {
	n.mu.RLock()
	return func(b []byte) string {
		if name, ok := n.known[string(b)]; ok {
			return name
		}
		return string(b)
	}, n.mu.RUnlock
}
