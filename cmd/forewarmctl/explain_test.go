package main

import (
	"io"
	"strings"
	"testing"
)

// TestExplainRefuses: what cannot be asked is refused before anything is read.
func TestExplainRefuses(t *testing.T) {
	for arguments, want := range map[string]string{
		"deployment":                               `"deployment" is not of the form RESOURCE/NAME: write for example deployment/web`,
		"/web":                                     `"/web" is not of the form RESOURCE/NAME`,
		"deployment/web --replicas -1":             "--replicas -1: write a number from 0 to 2147483647",
		"deployment/web --replicas 99999999999":    "--replicas 99999999999: write a number from 0 to 2147483647",
		"hpa/web --by spec.maxReplicas":            "--by says what --replicas is for: give both",
		"deployment/web --config does-not-exist":   "read configuration: open does-not-exist",
		"deployment/web --replicas many":           `invalid argument "many" for "--replicas"`,
		"deployment/web --replicas 1 --namespaces": "unknown flag: --namespaces",
	} {
		c := explainCommand()
		c.Flags().String("kubeconfig", "", "")
		c.SetArgs(strings.Fields(arguments))
		c.SetOut(io.Discard)
		c.SetErr(io.Discard)
		if err := c.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("explain %s: got %v, want %q", arguments, err, want)
		}
	}
}
