package chart

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// Values with which the plain manifests are rendered. CRDs are files of their own, and a namespace is
// made.
const (
	plain       = "{crds: {install: false}, namespace: {create: true}, uninstall: {hook: false}}"
	withConsole = "{crds: {install: false}, uninstall: {hook: false}, console: {enabled: true}}"
	second      = "{crds: {install: false}, uninstall: {hook: false}, extender: {mode: SecondScheduler}, scheduler: {image: 'registry.k8s.io/kube-scheduler:" + kubeVersion + "'}}"
)

const (
	plainHeader = `# Forewarm without Helm: the chart of manifests/chart with its default values, for those who run
# kube-scheduler themselves. Apply manifests/crd first: docs/install.md. Written by make generate.
`
	secondHeader = `# The second scheduler of the chart of manifests/chart, which extender.mode: SecondScheduler installs,
# beside manifests/install.yaml. Write the version of your control plane as the tag of kube-scheduler.
# Written by make generate.
`
	consoleHeader = `# The console of the chart of manifests/chart, which console.enabled: true installs, beside
# manifests/install.yaml: docs/console.md. Written by make generate.
`
)

// Files are the contents of what is generated from the chart, by their paths below root, the top of the
// checkout.
func Files(ctx context.Context, root string) (map[string]string, error) {
	folder := filepath.Join(root, "manifests", "chart")
	files := map[string]string{}
	all, err := Render(ctx, folder, Namespace, plain)
	if err != nil {
		return nil, fmt.Errorf("render manifests/install.yaml: %w", err)
	}
	files["manifests/install.yaml"] = plainHeader + all.Manifest
	scheduler, err := Render(ctx, folder, Namespace, second)
	if err != nil {
		return nil, fmt.Errorf("render the second scheduler: %w", err)
	}
	files["manifests/scheduler/second-scheduler.yaml"] = secondHeader + from(scheduler.Manifest, "scheduler.yaml")
	console, err := Render(ctx, folder, Namespace, withConsole)
	if err != nil {
		return nil, fmt.Errorf("render the console: %w", err)
	}
	files["manifests/console.yaml"] = consoleHeader + since(all.Manifest, console.Manifest)
	page, err := page(folder)
	if err != nil {
		return nil, err
	}
	files["manifests/chart/README.md"] = page
	return files, nil
}

// from are the documents of a manifest that one template made.
func from(manifest, template string) string {
	var kept strings.Builder
	for document := range strings.SplitSeq(manifest, "---\n") {
		if strings.HasPrefix(document, "# Source: "+Release+"/templates/"+template+"\n") {
			kept.WriteString("---\n" + document)
		}
	}
	return kept.String()
}

// since are the documents of a manifest that another one has not.
func since(other, manifest string) string {
	var kept strings.Builder
	for document := range strings.SplitSeq(manifest, "---\n") {
		if document = strings.TrimSpace(document); document != "" && !strings.Contains(other, document) {
			kept.WriteString("---\n" + document + "\n")
		}
	}
	return kept.String()
}
