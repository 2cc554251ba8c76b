package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"forewarm.dev/cmd/forewarmctl/output"
)

// prints gives forewarmctl arguments and returns what it prints.
func prints(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := command()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := execute(t.Context(), root)
	return out.String(), err
}

// walk visits every command of ours.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, child := range c.Commands() {
		walk(child, visit)
	}
}

// TestEveryHelp: each command says in one line and at length what it does, shows examples that it
// takes, and says what its exit codes mean.
func TestEveryHelp(t *testing.T) {
	walk(command(), func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())
		help, err := prints(t, append(path[1:], "--help")...)
		if err != nil {
			t.Errorf("%s --help: %v", c.CommandPath(), err)
		}
		for _, part := range []string{"Examples:\n", "Exit codes:\n  0  ", "\n  1  "} {
			if !strings.Contains(help, part) {
				t.Errorf("the help of %s has no %q", c.CommandPath(), part)
			}
		}
		if own := c.Annotations[exitOne]; own != "" && !strings.Contains(help, "; or "+own) {
			t.Errorf("the help of %s does not say %q", c.CommandPath(), own)
		}
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no short help or no example of its own", c.CommandPath())
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			if problem := parses(line); problem != nil {
				t.Errorf("an example of %s: %q: %v", c.CommandPath(), line, problem)
			}
		}
	})
}

var (
	// fence is a block of code of a page, with its language.
	fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")
	// inline is code within a line of a page.
	inline = regexp.MustCompile("`(forewarmctl [^`\n]+)`")
)

// TestPagesNameCommandsThatParse: whatever README and docs tell people to type is a command with
// flags and arguments that it takes.
func TestPagesNameCommandsThatParse(t *testing.T) {
	root := filepath.Join("..", "..")
	files := []string{filepath.Join(root, "README.md")}
	for _, pattern := range []string{"docs/*.md", "docs/runbooks/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	lines := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var typed []string
		for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
			typed = append(typed, strings.Split(block[2], "\n")...)
		}
		for _, code := range inline.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			typed = append(typed, code[1])
		}
		for _, line := range typed {
			if strings.HasPrefix(strings.TrimSpace(line), "forewarmctl ") {
				lines++
			}
			if problem := parses(line); problem != nil {
				t.Errorf("%s: %q: %v", filepath.Base(file), line, problem)
			}
		}
	}
	if lines < 20 {
		t.Errorf("%d lines were found", lines)
	}
}

// parses says what is wrong with a line that starts with forewarmctl; others are right.
func parses(line string) error {
	words := split(line)
	if len(words) == 0 || words[0] != "forewarmctl" {
		return nil
	}
	words = words[1:]
	root := command()
	root.InitDefaultCompletionCmd(words...)
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	// `forewarmctl audit` in a sentence names the command; more than its name is what one would type.
	if len(rest) == 0 {
		return nil
	}
	return c.ValidateArgs(c.Flags().Args())
}

// split takes a line apart as a shell would, up to a comment, a pipe or a redirection.
func split(line string) []string {
	words := regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`).FindAllString(line, -1)
	end := slices.IndexFunc(words, func(word string) bool { return strings.ContainsAny(word[:1], "#|>&") })
	if end >= 0 {
		words = words[:end]
	}
	for i, word := range words {
		words[i] = strings.Trim(word, `"'`)
	}
	return words
}

// acts are the commands that show nothing, but do something, and why they have no formats therefore.
var acts = map[string]string{
	"disarm": "tells each thing that it takes out", "arm": "waits", "uninstall": "tells each thing that it takes out",
	"import": "says in a line what was recorded", "export": "writes CSV, which import reads", "playground": "runs a program",
}

// TestEveryOutput: what shows something has the same formats everywhere, the table first, and no other
// command has any.
func TestEveryOutput(t *testing.T) {
	walk(command(), func(c *cobra.Command) {
		formats := output.Of(c)
		if _, does := acts[c.Name()]; does || !c.Runnable() {
			if formats != nil {
				t.Errorf("%s has formats %q, and is said to show nothing", c.CommandPath(), formats)
			}
			return
		}
		if len(formats) < 4 || !slices.Equal(formats[:4], output.Formats()) {
			t.Errorf("%s has formats %q, want %q first", c.CommandPath(), formats, output.Formats())
			return
		}
		if err := c.ParseFlags([]string{"-o", "xml"}); err == nil || !strings.Contains(err.Error(), "write table, wide, yaml") {
			t.Errorf("%s -o xml: %v, want to be told what to write", c.CommandPath(), err)
		}
	})
}

// TestEveryCommandIsTold: the page names every command.
func TestEveryCommandIsTold(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "forewarmctl.md"))
	if err != nil {
		t.Fatal(err)
	}
	walk(command(), func(c *cobra.Command) {
		if _, name, below := strings.Cut(c.CommandPath(), " "); below && c.Runnable() && !strings.Contains(string(text), "`"+name) {
			t.Errorf("docs/forewarmctl.md does not name %s", name)
		}
	})
}

// TestCompletion: shells are told of commands, of flags' values, and of no files where names are meant.
func TestCompletion(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"commands":              {[]string{"de"}, "decisions"},
		"output formats":        {[]string{"status", "-o", ""}, "table\nwide\nyaml\njson"},
		"no cluster, no names":  {[]string{"approve", ""}, ":4"},
		"and none to reject":    {[]string{"reject", ""}, ":4"},
		"objects to explain":    {[]string{"explain", "nodep"}, "nodepools.karpenter.sh/"},
		"one argument is all":   {[]string{"explain", "forecast", "a100", ""}, ":4"},
		"pools of history":      {[]string{"history", "import", "--pool", ""}, ":4"},
		"a file where one is":   {[]string{"history", "import", ""}, ":0"},
		"scripts are there too": {[]string{"completion", ""}, "bash"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
			out, err := prints(t, append([]string{cobra.ShellCompRequestCmd}, tt.args...)...)
			if err != nil || !strings.Contains(out, tt.want) {
				t.Errorf("completion of %q: %v:\n%s\nwant %q", tt.args, err, out, tt.want)
			}
		})
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, err := prints(t, "completion", shell); err != nil || !strings.Contains(out, "forewarmctl") {
			t.Errorf("completion %s: %v", shell, err)
		}
	}
}
