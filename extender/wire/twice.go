package wire

import (
	"bytes"
	"sync"
)

// keptBody is the largest body that is kept for the next request.
const keptBody = 1 << 20

// Twice decodes requests. Where filter has passed all nodes, prioritize of the same pod has the same
// body to the byte, and is not decoded again. What it returns is shared: nobody may change it.
type Twice struct {
	// Decode decodes a body.
	Decode func([]byte) (*Nodes, error)

	mu   sync.Mutex
	body []byte
	last *Nodes
}

// Nodes is a decoded body.
func (t *Twice) Nodes(body []byte) (*Nodes, error) {
	if last := t.of(body); last != nil {
		return last, nil
	}
	decoded, err := t.Decode(body)
	if err != nil || len(body) > keptBody {
		return decoded, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.body, t.last = append(t.body[:0], body...), decoded
	return decoded, nil
}

// of is what a body was decoded to, if it is that of the call before.
func (t *Twice) of(body []byte) *Nodes {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil || !bytes.Equal(t.body, body) {
		return nil
	}
	return t.last
}
