package wire

import (
	"errors"
	"testing"
)

// TestABodyIsDecodedOnce: that of prioritize is that of filter, and nothing else is taken for it.
func TestABodyIsDecodedOnce(t *testing.T) {
	decoded := 0
	d := &Twice{Decode: func(body []byte) (*Nodes, error) {
		decoded++
		if string(body) == "broken" {
			return nil, errors.New("broken")
		}
		return &Nodes{Names: []string{string(body)}}, nil
	}}
	read := []byte("one")
	for _, call := range []struct {
		body    string
		decoded int
	}{{"one", 1}, {"one", 1}, {"two", 2}, {"one", 3}, {"broken", 4}, {"broken", 5}, {"one", 5}} {
		read = append(read[:0], call.body...) // the buffer is used again and again
		nodes, err := d.Nodes(read)
		if (err != nil) != (call.body == "broken") || err == nil && nodes.Names[0] != call.body {
			t.Fatalf("%s became %v, %v", call.body, nodes, err)
		}
		if decoded != call.decoded {
			t.Errorf("%s: %d bodies were decoded, want %d", call.body, decoded, call.decoded)
		}
	}
}
