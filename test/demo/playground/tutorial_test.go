package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	// typed is a block of commands of the tutorial, shown one of what is printed.
	typed = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	shown = regexp.MustCompile("(?ms)^```text\n(.*?)^```")
)

// root is that of the checkout.
var root = filepath.Join("..", "..", "..")

// tutorial is the text of docs/tutorial.md.
func tutorial(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTheTutorialShowsWhatIsPrinted: a playground without a load says what the page says that it does.
func TestTheTutorialShowsWhatIsPrinted(t *testing.T) {
	match := shown.FindStringSubmatch(tutorial(t))
	if match == nil {
		t.Fatal("docs/tutorial.md has no block of text")
	}
	at := place{kubeconfig: "FOLDER/admin.kubeconfig", logs: "FOLDER/logs", console: "https://127.0.0.1:PORT"}
	want := startsCluster + "\n" + startsOurs + "\n" + at.introduce(withNothing, "kubectl get nodepools", "forewarmctl status")
	if diff := cmp.Diff(want, match[1]); diff != "" {
		t.Errorf("what the playground prints (-) and docs/tutorial.md shows (+):\n%s", diff)
	}
}

// refused is what the tutorial's one command that must fail is told.
const refused = "forewarm.dev/max-replicas"

// TestTutorial types all that docs/tutorial.md does into a playground, five minutes long. With -v it
// prints what the page shows. It needs kubectl.
func TestTutorial(t *testing.T) {
	if os.Getenv("FOREWARM_TUTORIAL") == "" {
		t.Skip("FOREWARM_TUTORIAL is not set: starting a playground takes minutes")
	}
	p := start(t, "--empty")
	environment := append(os.Environ(), "KUBECONFIG="+p.kubeconfig, "PATH="+p.bin+":"+os.Getenv("PATH"))
	for _, match := range typed.FindAllStringSubmatch(tutorial(t), -1) {
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
