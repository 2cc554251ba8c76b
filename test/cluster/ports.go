package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Ports are taken from below the range of outgoing connections (32768 on Linux), so that no
// client's connection lands on a port between its choice and its use.
const firstPort, lastPort = 20000, 32000

// ports hands out free ports of 127.0.0.1. A lock file per port, which the kernel gives back
// when this process dies, keeps clusters that start at the same time apart.
type ports struct{ locks []*os.File }

func (p *ports) take() (int, error) {
	dir := filepath.Join(os.TempDir(), "forewarm-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, fmt.Errorf("make a folder for port locks: %w", err)
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			return 0, fmt.Errorf("lock port %d: %w", port, err)
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && free(port) {
			p.locks = append(p.locks, lock)
			return port, nil
		}
		_ = lock.Close()
	}
	return 0, errors.New("no free port of 127.0.0.1 found from 20000 to 32000; stop what occupies them")
}

// kept are the ports that FreePort has given out.
var kept struct {
	sync.Mutex
	ports
}

// FreePort takes a port of 127.0.0.1 for a process that starts later. Nobody else gets it by this
// package until this process ends.
func FreePort() (int, error) {
	kept.Lock()
	defer kept.Unlock()
	return kept.take()
}

func free(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

func (p *ports) release() {
	for _, lock := range p.locks {
		_ = os.Remove(lock.Name())
		_ = lock.Close()
	}
	p.locks = nil
}
