package assets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// progressEvery is how often a running build says that it still runs.
const progressEvery = 10 * time.Second

// Install builds those of the named assets that are missing, under a lock, telling output
// what it does. A build that fails or is interrupted leaves nothing half made.
func (s Store) Install(ctx context.Context, output io.Writer, names ...string) error {
	missing, err := s.missing(names)
	if err != nil || len(missing) == 0 {
		return err
	}
	unlock, err := s.lock(ctx, output)
	if err != nil {
		return err
	}
	defer unlock()
	// Another clone may have built them while this one waited.
	if missing, err = s.missing(names); err != nil {
		return err
	}
	for i, name := range missing {
		label := fmt.Sprintf("[%d/%d] %s", i+1, len(missing), name)
		if err := s.install(ctx, progress{output: output, label: label}, name); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	return nil
}

func (s Store) missing(names []string) ([]string, error) {
	var missing []string
	for _, name := range names {
		_, err := s.Find(name)
		switch {
		case IsMissing(err):
			missing = append(missing, name)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// lock takes the cache's lock, which the kernel gives back if this process dies.
func (s Store) lock(ctx context.Context, output io.Writer) (func(), error) {
	if err := os.MkdirAll(s.Cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w; set FOREWARM_CACHE to a folder that you may write", err)
	}
	path := filepath.Join(s.Cache, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cache's lock: %w; set FOREWARM_CACHE to a folder that you may write", err)
	}
	err = progress{output: output, label: "another clone builds, waiting for " + path}.during(func() error {
		return waitLock(ctx, file)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func waitLock(ctx context.Context, file *os.File) error {
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-retry.C:
		}
	}
}

// install makes one asset beside its place in the cache and moves it there when complete.
func (s Store) install(ctx context.Context, p progress, name string) error {
	places, err := s.places(name)
	if err != nil {
		return err
	}
	target := places[len(places)-1]
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(target), ".building-")
	if err != nil {
		return fmt.Errorf("make a folder to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	made := filepath.Join(work, filepath.Base(name))
	r, err := s.recipe(name)
	if err != nil {
		return err
	}
	p.say("building from %s", r.folder)
	start := time.Now()
	err = p.during(func() error {
		if r.program == "" {
			return s.copyFolders(ctx, r, made)
		}
		return s.build(ctx, r, made)
	})
	if err != nil {
		return err
	}
	p.say("done in %.0f s: %s", time.Since(start).Seconds(), target)
	return os.Rename(made, target)
}

// build compiles the program of a recipe inside the module that pins it.
func (s Store) build(ctx context.Context, r recipe, output string) error {
	version, err := s.version(r)
	if err != nil {
		return err
	}
	_, err = s.goTool(ctx, r, "build", "-trimpath", "-tags", r.tags, "-ldflags", r.ldflags(version), "-o", output, r.program)
	return err
}

// ldflags strip debug information and stamp the version, without which the server would call
// itself v0.0.0 and clients complain.
func (r recipe) ldflags(version string) string {
	flags := "-s -w"
	number := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if r.module != kubernetesModule || len(number) < 2 {
		return flags
	}
	for _, stamp := range []string{"gitVersion=" + version, "gitMajor=" + number[0], "gitMinor=" + number[1], "gitTreeState=clean"} {
		flags += " -X k8s.io/component-base/version." + stamp
	}
	return flags
}

// copyFolders copies the files of some of the module's folders into one folder.
func (s Store) copyFolders(ctx context.Context, r recipe, output string) error {
	if _, err := s.goTool(ctx, r, "mod", "download", r.module); err != nil {
		return err
	}
	listed, err := s.goTool(ctx, r, "list", "-m", "-f", "{{.Dir}}", r.module)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(output, 0o755); err != nil {
		return err
	}
	for _, folder := range r.copies {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(listed), folder, "*.yaml"))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("module %s holds no YAML files in %s", r.module, folder)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(output, filepath.Base(file)), data, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// goTool runs the go command in the recipe's module and returns what it printed. The caller's
// GOFLAGS and workspace do not reach the recipe: its go.mod alone decides.
func (s Store) goTool(ctx context.Context, r recipe, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(s.Root, r.folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args[:1], " "), r.folder, err, complaints.String())
	}
	return string(out), nil
}

// progress tells a person that something long is still going on.
type progress struct {
	output io.Writer
	label  string
}

func (p progress) say(format string, args ...any) {
	fmt.Fprintf(p.output, "%s: %s\n", p.label, fmt.Sprintf(format, args...))
}

// during runs act and says every ten seconds how long it has taken.
func (p progress) during(act func() error) error {
	done := make(chan error, 1)
	go func() { done <- act() }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			p.say("%.0f s", time.Since(start).Seconds())
		}
	}
}
