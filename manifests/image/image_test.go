package main

import (
	"archive/tar"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func hello() options {
	return options{name: "hello", folder: "testdata/hello", pkg: ".", version: "v1.2.3", platforms: []string{"linux/amd64", "linux/arm64"}}
}

func made(t *testing.T, o options) built {
	t.Helper()
	b, err := build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLayout reads back from disk what was written.
func TestLayout(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "hello")
	if err := made(t, hello()).write(folder); err != nil {
		t.Fatal(err)
	}
	root, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest := manifestOf(t, root)
	if len(manifest.Manifests) != 3 || manifest.Manifests[0].Annotations[refName] != "v1.2.3" || manifest.Manifests[0].MediaType != types.OCIImageIndex {
		t.Fatalf("the layout lists %+v, want an index called v1.2.3 and two bills of materials", manifest.Manifests)
	}
	index, err := root.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	var platforms []string
	for i, entry := range manifestOf(t, index).Manifests {
		platforms = append(platforms, entry.Platform.String())
		image, err := index.Image(entry.Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, image, entry.Platform)
		bill, err := root.Image(manifest.Manifests[1+i].Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkBill(t, bill, entry.Digest)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func manifestOf(t *testing.T, index v1.ImageIndex) *v1.IndexManifest {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

func checkImage(t *testing.T, image v1.Image, platform *v1.Platform) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(file.Config.Entrypoint, []string{"/hello"}) || file.Config.User != "65532:65532" || file.OS != "linux" || file.Architecture != platform.Architecture {
		t.Errorf("%s: %+v of %s/%s", platform, file.Config, file.OS, file.Architecture)
	}
	files := extract(t, image)
	if len(files) != 2 || !strings.HasPrefix(string(files["hello"]), "\x7fELF") {
		t.Errorf("%s holds %d files", platform, len(files))
	}
	trusted := 0
	for rest := files[roots]; ; trusted++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
	}
	if trusted < 50 {
		t.Errorf("%s trusts %d authorities", platform, trusted)
	}
}

// extract returns the files of an image.
func extract(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, l := range layers {
		content, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for archive := tar.NewReader(content); ; {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if header.Typeflag == tar.TypeReg {
				if header.Mode&0o222 != 0 || header.Uid != 0 {
					t.Errorf("%s may be written: %o", header.Name, header.Mode)
				}
				if files[header.Name], err = io.ReadAll(archive); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return files
}

func checkBill(t *testing.T, bill v1.Image, of v1.Hash) {
	t.Helper()
	manifest, err := bill.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Subject == nil || manifest.Subject.Digest != of || manifest.Config.MediaType != billType {
		t.Errorf("the bill of materials is %s about %+v, want %s about %s", manifest.Config.MediaType, manifest.Subject, billType, of)
	}
	bom := materialsOf(t, bill)
	if bom.Metadata.Component.Version != "v1.2.3" || len(*bom.Components) != 1 || (*bom.Components)[0].Version != strings.TrimPrefix(runtime.Version(), "go") {
		t.Errorf("it lists %+v", bom.Components)
	}
}

func materialsOf(t *testing.T, bill v1.Image) cdx.BOM {
	t.Helper()
	layers, err := bill.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed() // as it is stored
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(content, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	return bom
}

// TestTheSameTwice: a second build, in another folder, makes the same bytes.
func TestTheSameTwice(t *testing.T) {
	elsewhere := hello()
	elsewhere.folder = t.TempDir()
	for _, file := range []string{"go.mod", "main.go"} {
		text, err := os.ReadFile(filepath.Join("testdata", "hello", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(elsewhere.folder, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := digests(t, made(t, hello())), digests(t, made(t, elsewhere))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("digests:\n%s", diff)
	}
}

func digests(t *testing.T, b built) []string {
	t.Helper()
	digest, err := b.index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	all := []string{digest.String()}
	for _, bill := range b.bills {
		if digest, err = bill.Digest(); err != nil {
			t.Fatal(err)
		}
		all = append(all, digest.String())
	}
	return all
}

// TestPush sends an image to a registry, which then knows of the bills of materials.
func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true)))
	defer server.Close()
	b := made(t, hello())
	reference := strings.TrimPrefix(server.URL, "http://") + "/forewarm/hello:v1.2.3"
	if err := b.push(t.Context(), reference); err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range manifestOf(t, pulled).Manifests {
		referrers, err := remote.Referrers(tag.Context().Digest(entry.Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		if about := manifestOf(t, referrers).Manifests; len(about) != 1 || about[0].ArtifactType != string(billType) {
			t.Errorf("%s: the registry knows of %+v", entry.Platform, about)
		}
	}
}

// TestAProcess puts a real process into an image for this machine, takes it out again, and asks it
// for help. Its bill of materials lists what go.mod does.
func TestAProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles the extender, for minutes the first time")
	}
	b := made(t, options{name: "extender", folder: "../..", pkg: "./cmd/extender", version: "v1.2.3", platforms: []string{"linux/" + runtime.GOARCH}})
	image, err := b.index.Image(manifestOf(t, b.index).Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "extender")
	if err := os.WriteFile(path, extract(t, image)["extender"], 0o700); err != nil {
		t.Fatal(err)
	}
	says, err := exec.CommandContext(t.Context(), path, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(says), "--kubeconfig") {
		t.Errorf("--help: %v\n%s", err, says)
	}
	bom, err := json.Marshal(materialsOf(t, b.bills[0]))
	if err != nil || !strings.Contains(string(bom), `"pkg:golang/sigs.k8s.io/controller-runtime@v`) {
		t.Errorf("the bill of materials lacks controller-runtime: %v", err)
	}
}
