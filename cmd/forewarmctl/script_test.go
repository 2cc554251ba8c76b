package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"forewarm.dev/forecast/history"
	"forewarm.dev/forecast/seriesfile"
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "decide": decide, "recent": recent},
	})
}

// recent FILE writes the demand of the hours of six days that are over, more of it from noon on, and has FIRST and
// LAST be the first and the last of them.
func recent(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: recent FILE")
	}
	first := time.Now().UTC().Truncate(24 * time.Hour).Add(-6 * 24 * time.Hour)
	var samples []history.Sample
	for hour := range 6 * 24 {
		samples = append(samples, history.Sample{At: first.Add(time.Duration(hour) * time.Hour), Demand: float64(10 + 20*(hour%24/12) + 7*hour%5)})
	}
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(errors.Join(seriesfile.Write(file, samples), file.Close()))
	ts.Setenv("FIRST", samples[0].At.Format(time.RFC3339))
	ts.Setenv("LAST", samples[len(samples)-1].At.Format(time.RFC3339))
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
