// Package proc reads figures of processes from /proc.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CPUSeconds is the user and system time of a process so far: the sum over its threads, each
// to a nanosecond, where /proc/PID/stat would say it to 10 ms. Go's threads do not end.
func CPUSeconds(pid int) (float64, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("no CPU time of process %d in /proc: this benchmark needs Linux with scheduler statistics, and the process alive", pid)
	}
	sum := 0.0
	for _, thread := range threads {
		data, err := os.ReadFile(thread)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		onCPU, _, _ := strings.Cut(string(data), " ")
		nanoseconds, err := strconv.ParseFloat(onCPU, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time in %s: %w", thread, err)
		}
		sum += nanoseconds
	}
	return sum / 1e9, nil
}

// MemoryMiB is the memory of a process by a field of its status: VmRSS is in RAM now, and VmHWM
// the most that ever was.
func MemoryMiB(pid int, field string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, field+":"); found {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d tells no %s", pid, field)
}
