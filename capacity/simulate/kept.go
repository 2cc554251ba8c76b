package simulate

import "slices"

// keep has as many placeholders of the Deployment as it says. One too many goes before it has a
// node, the youngest first, as a ReplicaSet does.
func (w *world) keep() {
	d := w.Pool.Deployment
	if len(d.Steps) == 0 {
		return
	}
	count := d.at(w.now)
	for len(w.warm) < count {
		w.warm = append(w.warm, &pod{chunk: -1, gpus: d.GPUs, created: w.now})
	}
	for len(w.warm) > count {
		last := w.warm[len(w.warm)-1]
		for _, p := range slices.Backward(w.warm) {
			if p.node == nil {
				last = p
				break
			}
		}
		w.remove(last)
	}
}

// bufferLacks is how many pods of the CapacityBuffer find no room on the nodes that are there.
func (w *world) bufferLacks() int {
	if len(w.Pool.Buffer.Steps) == 0 {
		return 0
	}
	return max(w.Pool.Buffer.at(w.now)-w.bufferRoom(), 0)
}

func (w *world) bufferRoom() int {
	room := 0
	for free, nodes := range w.rooms.free {
		room += free / w.Pool.Buffer.GPUs * len(nodes)
	}
	return room
}

// buffers tells whether the CapacityBuffer needs every node that is empty.
func (w *world) buffers() bool {
	b := w.Pool.Buffer
	return len(b.Steps) > 0 && w.bufferRoom()-w.Pool.NodeGPUs/b.GPUs < b.at(w.now)
}
