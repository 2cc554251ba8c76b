// Package relay stands between clients and servers of a test control plane, on loopback: it leads
// each connection to the next of several ports, as a Service does, and plays a network that is slow,
// that drops what it carries, or that is not there.
package relay

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Relay takes connections on one port and leads each to the next of several.
type Relay struct {
	listener net.Listener
	taken    atomic.Int64
	next     atomic.Uint64

	mu     sync.Mutex
	ports  []int
	open   map[net.Conn]bool
	delay  time.Duration
	refuse bool
	// held is closed when nothing is held up; while it is open, no byte passes.
	held chan struct{}
}

// New listens on a port of 127.0.0.1 and serves until Close.
func New() (*Relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a relay: %w", err)
	}
	held := make(chan struct{})
	close(held)
	r := &Relay{listener: listener, open: map[net.Conn]bool{}, held: held}
	go r.serve()
	return r, nil
}

// Close takes no connection any more and ends those that there are.
func (r *Relay) Close() {
	_ = r.listener.Close()
	r.Pass()
	r.Cut()
}

// Port is where it listens.
func (r *Relay) Port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// Taken is how many connections it has taken so far.
func (r *Relay) Taken() int64 { return r.taken.Load() }

// Ports are those that get connections.
func (r *Relay) Ports() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ports)
}

// SetPorts says which ports get connections from now on; those that there are stay.
func (r *Relay) SetPorts(ports ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports = slices.Clone(ports)
}

// Add has a port get connections, Remove has it get none; those that there are stay.
func (r *Relay) Add(port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.ports, port) {
		r.ports = append(slices.Clone(r.ports), port)
	}
}

// Remove is the opposite of Add.
func (r *Relay) Remove(port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports = slices.DeleteFunc(slices.Clone(r.ports), func(p int) bool { return p == port })
}

// Has says whether a port gets connections.
func (r *Relay) Has(port int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.ports, port)
}

// Follow has a port get connections while it is ready, like an endpoint of a Service, which it asks
// every interval; none any more once done is closed, where it returns.
func (r *Relay) Follow(port int, every time.Duration, ready func() bool, done <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer r.Remove(port)
	for {
		if ready() {
			r.Add(port)
		} else {
			r.Remove(port)
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// Delay has each piece that is carried wait so long; zero for not at all.
func (r *Relay) Delay(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = d
}

// Refuse ends all connections, and new ones as soon as they come.
func (r *Relay) Refuse() {
	r.mu.Lock()
	r.refuse = true
	r.mu.Unlock()
	r.Cut()
}

// Hold carries nothing, and ends nothing: to both sides the other one hangs.
func (r *Relay) Hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.held:
		r.held = make(chan struct{})
	default: // held already
	}
}

// Pass ends Delay, Refuse and Hold.
func (r *Relay) Pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay, r.refuse = 0, false
	select {
	case <-r.held:
	default:
		close(r.held)
	}
}

// Cut ends all connections, and with them all watches; new ones are taken.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for connection := range r.open {
		_ = connection.Close()
	}
	clear(r.open)
}

func (r *Relay) serve() {
	for {
		from, err := r.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			r.taken.Add(1)
			go r.lead(from)
		}
	}
}

// lead carries until one side ends. A port where nobody listens is passed over.
func (r *Relay) lead(from net.Conn) {
	defer r.forget(from)
	if !r.keep(from) {
		return
	}
	ports := r.Ports()
	first := r.next.Add(1)
	for i := range ports {
		port := ports[(first+uint64(i))%uint64(len(ports))]
		to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer r.forget(to)
		if !r.keep(to) {
			return
		}
		go func() {
			r.carry(from, to)
			_ = from.Close()
		}()
		r.carry(to, from)
		return
	}
}

// keep notes a connection that Cut ends; false where none is taken.
func (r *Relay) keep(connection net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse {
		return false
	}
	r.open[connection] = true
	return true
}

func (r *Relay) forget(connection net.Conn) {
	_ = connection.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, connection)
}

func (r *Relay) carry(to, from net.Conn) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			r.wait()
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when the next piece may pass.
func (r *Relay) wait() {
	r.mu.Lock()
	delay, held := r.delay, r.held
	r.mu.Unlock()
	<-held
	time.Sleep(delay)
}
