package docs

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	// typed is a block of commands of the tutorial.
	typed = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	// exported is the line by which the playground says where its cluster is.
	exported = regexp.MustCompile(`export KUBECONFIG=(\S+)`)
)

// refused is what the tutorial's one command that must fail is told.
const refused = "forewarm.dev/max-replicas"

// TestTutorial types all that docs/tutorial.md does into a playground, five minutes long. With -v it
// prints what the page shows. It needs make build, bin/playground, the control plane and kubectl.
func TestTutorial(t *testing.T) {
	if os.Getenv("FOREWARM_TUTORIAL") == "" {
		t.Skip("FOREWARM_TUTORIAL is not set: starting a playground takes minutes")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "KUBECONFIG="+playground(t, root), "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	for _, match := range typed.FindAllStringSubmatch(string(text), -1) {
		for _, command := range commands(match[1]) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			c := exec.CommandContext(ctx, "bash", "-c", command)
			c.Dir, c.Env = root, environment
			out, err := c.CombinedOutput()
			cancel()
			t.Logf("$ %s%s", command, out)
			switch isRefused := strings.Contains(command, "--replicas=5"); {
			case isRefused && (err == nil || !strings.Contains(string(out), refused)):
				t.Errorf("%s was not refused by a ceiling: %v\n%s", command, err, out)
			case !isRefused && err != nil:
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
		}
	}
}

// playground starts one without a load, and returns the path of its kubeconfig.
func playground(t *testing.T, root string) string {
	t.Helper()
	p := exec.Command(filepath.Join(root, "bin", "playground"), "--empty")
	p.Dir, p.Stderr = root, os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatalf("start the playground: %v; run: make build && go build -o bin/playground ./test/demo/playground", err)
	}
	t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGINT)
		if err := p.Wait(); err != nil {
			t.Errorf("the playground ended with %v", err)
		}
	})
	kubeconfig := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		t.Log(lines.Text())
		if match := exported.FindStringSubmatch(lines.Text()); match != nil {
			kubeconfig = match[1]
		}
		if strings.HasPrefix(lines.Text(), "Logs are in ") {
			return kubeconfig
		}
	}
	t.Fatal("the playground ended before it was ready")
	return ""
}

// commands takes a block apart: one line each, or more with what it gives on the standard input.
func commands(text string) []string {
	var all []string
	command, within := "", false
	for line := range strings.Lines(text) {
		command += line
		switch {
		case within:
			within = strings.TrimSpace(line) != "EOF"
		case strings.Contains(line, "<<'EOF'"):
			within = true
		}
		if !within {
			all = append(all, command)
			command = ""
		}
	}
	return all
}
