package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// update writes what the commands print now into the scripts that compare it.
var update = flag.Bool("update", false, "write the golden files of the scripts anew")

// TestMain has the scripts run forewarmctl, also under the names by which kubectl calls it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"forewarmctl": main, plugin: main, completer: main})
}

// TestScripts types what people type, and compares what they then see; -update writes it anew.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", "")
			env.Setenv("NO_COLOR", "")
			env.Setenv("TERM", "xterm")
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "decide": decide},
	})
}

// serve FOLDER starts an API server that has what lies in a folder, and has KUBECONFIG lead to it.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: serve FOLDER")
	}
	server, err := newServer(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(server.Close)
	path := ts.MkAbs("kubeconfig")
	ts.Check(os.WriteFile(path, kubeconfig(server.URL), 0o600))
	ts.Setenv("KUBECONFIG", path)
}
