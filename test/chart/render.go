// Package chart renders, lints and installs the Helm chart of manifests/chart with Helm's own library,
// and writes what is generated from it: the plain manifests and the page of its values.
package chart

import (
	"context"
	"fmt"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	"sigs.k8s.io/yaml"
)

// Names of the release, which the chart does not let anybody choose.
const (
	Release   = "forewarm"
	Namespace = "forewarm-system"
)

// kubeVersion is the cluster's that a chart is rendered for without one.
const kubeVersion = "v1.37.2"

// Values reads YAML.
func Values(text string) (map[string]any, error) {
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	return values, nil
}

// Rendered is what the chart in a folder makes of values.
type Rendered struct {
	// Manifest holds the objects as YAML documents, each behind a comment that names its template.
	Manifest string
	// Hooks are the objects that Helm makes around what it does, likewise.
	Hooks string
	// Notes are what a person is told.
	Notes string
}

// Render renders the chart in folder without a cluster, in namespace, as helm template does.
func Render(ctx context.Context, folder, namespace, values string) (Rendered, error) {
	loaded, err := loader.Load(folder)
	if err != nil {
		return Rendered{}, fmt.Errorf("load the chart: %w", err)
	}
	return made(ctx, loaded, namespace, values)
}

// made is Render of a chart that is loaded.
func made(ctx context.Context, loaded *chart.Chart, namespace, values string) (Rendered, error) {
	set, err := Values(values)
	if err != nil {
		return Rendered{}, err
	}
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return Rendered{}, err
	}
	install := action.NewInstall(action.NewConfiguration())
	install.ReleaseName, install.Namespace, install.KubeVersion = Release, namespace, version
	install.DryRunStrategy, install.Replace = action.DryRunClient, true
	run, err := install.RunWithContext(ctx, loaded, set)
	if err != nil {
		return Rendered{}, err
	}
	r, is := run.(*release.Release)
	if !is {
		return Rendered{}, fmt.Errorf("helm returned a release of type %T", run)
	}
	var hooks strings.Builder
	for _, hook := range r.Hooks {
		fmt.Fprintf(&hooks, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
	}
	return Rendered{Manifest: r.Manifest, Hooks: hooks.String(), Notes: r.Info.Notes}, nil
}
