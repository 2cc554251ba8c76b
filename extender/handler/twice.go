package handler

import (
	"bytes"
	"sync"

	"forewarm.dev/extender/wire"
)

// twice decodes requests. Where filter has passed all nodes, prioritize of the same pod has the same
// body to the byte, and is not decoded again. What it returns is shared: nobody may change it.
type twice struct {
	decode func([]byte) (*wire.Nodes, error)

	mu   sync.Mutex
	body []byte
	last *wire.Nodes
}

func (t *twice) nodes(body []byte) (*wire.Nodes, error) {
	if last := t.of(body); last != nil {
		return last, nil
	}
	decoded, err := t.decode(body)
	if err != nil || len(body) > keptBody {
		return decoded, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.body, t.last = append(t.body[:0], body...), decoded
	return decoded, nil
}

// of is what a body was decoded to, if it is that of the call before.
func (t *twice) of(body []byte) *wire.Nodes {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil || !bytes.Equal(t.body, body) {
		return nil
	}
	return t.last
}
