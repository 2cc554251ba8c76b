package cluster

import "syscall"

// ownGroup gives a child a process group of its own, and lets it die with this process.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
