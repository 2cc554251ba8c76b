// Package clock builds Forewarm's programs with a wall clock that can be told to jump while they run,
// as that of a machine whose time is set does: time.Now is ahead or behind by what a file says, and
// the monotonic reading, by which Go measures how long things take, goes on undisturbed. Everything
// else of the programs is as it always is: the build replaces files of the standard library's package
// time and adds one file to each command, by the go command's -overlay, and changes nothing on disk.
package clock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Env names the environment variable with the path of the file that Set writes.
const Env = "FOREWARM_CHAOS_CLOCK"

// Lag is how long after Set a program follows at most.
const Lag = 200 * time.Millisecond

// reading is how time.Now begins; what follows uses sec, nsec and mono.
const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"

// jump is added to package time.
const jump = `package time

import "sync/atomic"

var jumped atomic.Int64

// Jump sets how many nanoseconds the wall clock is ahead of the machine's.
func Jump(ahead int64) { jumped.Store(ahead) }

func jumpedNow(sec int64, nsec int32) (int64, int32) {
	ahead := jumped.Load()
	if ahead == 0 {
		return sec, nsec
	}
	sec, rest := sec+ahead/1e9, int64(nsec)+ahead%1e9
	switch {
	case rest >= 1e9:
		sec, rest = sec+1, rest-1e9
	case rest < 0:
		sec, rest = sec-1, rest+1e9
	}
	return sec, int32(rest)
}
`

// follow is added to each command.
const follow = `package main

import (
	"os"
	"strings"
	"time"
)

func init() {
	path := os.Getenv("` + Env + `")
	if path == "" {
		return
	}
	go func() {
		for {
			if text, err := os.ReadFile(path); err == nil {
				if ahead, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
					time.Jump(int64(ahead))
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
}
`

// Set has the clock of programs that were started with Env be ahead by so much, negative for behind.
func Set(path string, ahead time.Duration) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(ahead.String()), 0o600); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return os.Rename(fresh, path) // never half written
}

// patch has time.Now look at how far the clock has jumped.
func patch(source string) (string, error) {
	if strings.Count(source, reading) != 1 {
		return "", errors.New("time.Now of this Go is not as it was: change package clock, or run with CLOCK=0")
	}
	return strings.Replace(source, reading, reading+"\tsec, nsec = jumpedNow(sec, nsec)\n", 1), nil
}

// Build builds the commands of the module at root into a folder. The first time it compiles all that
// they are made of once more, which takes minutes; the go command's cache keeps it.
func Build(ctx context.Context, root, into string, commands ...string) error {
	library, err := library(ctx)
	if err != nil {
		return err
	}
	source, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return fmt.Errorf("read package time: %w", err)
	}
	patched, err := patch(string(source))
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "forewarm-clock-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	replaces := map[string]string{}
	for i, file := range append([]struct{ path, text string }{
		{filepath.Join(library, "time.go"), patched},
		{filepath.Join(library, "zz_jump.go"), jump},
	}, follows(root, commands)...) {
		at := filepath.Join(work, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(at, []byte(file.text), 0o600); err != nil {
			return err
		}
		replaces[file.path] = at
	}
	overlay := filepath.Join(work, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replaces})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return err
	}
	return build(ctx, root, into, overlay, commands)
}

// library is the folder of package time.
func library(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(output)), "src", "time"), nil
}

func follows(root string, commands []string) []struct{ path, text string } {
	var files []struct{ path, text string }
	for _, name := range commands {
		files = append(files, struct{ path, text string }{filepath.Join(root, "cmd", name, "zz_jump.go"), follow})
	}
	return files
}

func build(ctx context.Context, root, into, overlay string, commands []string) error {
	args := []string{"build", "-buildvcs=false", "-overlay", overlay, "-o", into + string(os.PathSeparator)}
	for _, name := range commands {
		args = append(args, "./cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build with a clock that jumps: %w\n%s", err, output)
	}
	return nil
}
