//go:build !linux

package cluster

import "syscall"

// ownGroup gives a child a process group of its own. Only Linux can let it die with this
// process; elsewhere it outlives a launcher that is killed before Stop.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
