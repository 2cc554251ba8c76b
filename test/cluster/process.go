package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// quotedLines is how many of the last lines of a log an error quotes.
const quotedLines = 20

// Process is a running program whose output goes to a log file.
type Process struct {
	// Name is what the process is called in the cluster.
	Name string
	// LogPath is the file that holds what it printed.
	LogPath string

	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process and its group at once, as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// Pause stops the process and its group where they are: to others it hangs.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume has what Pause stopped go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// signal reaches the whole group; not once the process is gone, when its number may be another's.
func (p *Process) signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// Stop asks the process to end and waits for up to grace; then it is killed. The error says
// that it had to be, or that the process ended with a failure of its own.
func (p *Process) Stop(grace time.Duration) error {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM: %s", p.Name, grace, p.tail())
	}
}

// Log returns what the process has printed so far.
func (p *Process) Log() string {
	data, err := os.ReadFile(p.LogPath)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(data)
}

// tail quotes the end of the log.
func (p *Process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.Log()), "\n")
	lines = lines[max(0, len(lines)-quotedLines):]
	return fmt.Sprintf("last lines of %s:\n%s", p.LogPath, strings.Join(lines, "\n"))
}

// check fails when the process has ended.
func (p *Process) check() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended (%s); %s", p.Name, p.cmd.ProcessState, p.tail())
	default:
		return nil
	}
}

// spawner starts processes from one thread that lives as long as itself. The kernel sends a
// child its parent-death signal when the *thread* that made it ends, so a thread that comes
// and goes would kill it early; and when this process dies, all threads do.
type spawner struct{ starts chan func() }

func newSpawner() *spawner {
	s := &spawner{starts: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for start := range s.starts {
			start()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error)
	s.starts <- func() { result <- cmd.Start() }
	return <-result
}

func (s *spawner) close() { close(s.starts) }

// StartProcess runs a program under the cluster's supervision: it logs to NAME.log in the
// cluster's log folder, and ends when ctx does, when Stop is called, or when this process
// dies. env is added to the environment. The caller waits for readiness itself.
func (c *Cluster) StartProcess(ctx context.Context, name, binary string, args, env []string) (*Process, error) {
	path := filepath.Join(c.logDir, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownGroup()
	p := &Process{Name: name, LogPath: path, cmd: cmd, done: make(chan struct{})}

	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.stopped {
		return nil, fmt.Errorf("start %s: the cluster is stopped", name)
	}
	if err := c.spawner.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	c.processes = append(c.processes, p)
	return p, nil
}
