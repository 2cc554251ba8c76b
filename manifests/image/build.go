package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is nobody in particular: the number that distroless images and Pod Security know as nonroot.
const user = "65532:65532"

// roots is where Go programs look for the certificates that they trust.
const roots = "etc/ssl/certs/ca-certificates.crt"

// options say which program is put into an image.
type options struct {
	name string
	// folder is where the module of the program lies, and pkg its package there.
	folder, pkg string
	version     string
	// platforms are such as linux/amd64.
	platforms []string
}

// built is an image for several platforms, with a bill of materials for each.
type built struct {
	options
	index v1.ImageIndex
	bills []v1.Image
}

// build compiles a program for each platform and makes the image. The same source, compiler and
// version make the same bytes.
func build(ctx context.Context, o options) (built, error) {
	made := built{options: o, index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	for _, text := range o.platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return made, err
		}
		binary, err := o.compile(ctx, platform)
		if err != nil {
			return made, err
		}
		image, err := o.image(platform, binary)
		if err != nil {
			return made, err
		}
		bill, err := o.bill(platform, binary, image)
		if err != nil {
			return made, fmt.Errorf("bill of materials: %w", err)
		}
		made.index = mutate.AppendManifests(made.index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
		made.bills = append(made.bills, bill)
	}
	return made, nil
}

// compile returns the program for a platform.
func (o options) compile(ctx context.Context, platform *v1.Platform) ([]byte, error) {
	work, err := os.MkdirTemp("", "forewarm-image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	path := filepath.Join(work, o.name)
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", path, o.pkg)
	command.Dir = o.folder
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if says, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build for %s: %w\n%s", platform, err, says)
	}
	return os.ReadFile(path)
}

// image is the program, the certificates that are trusted in public, and nothing else.
func (o options) image(platform *v1.Platform, binary []byte) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	trusted, err := layer(roots, certificates(), 0o444)
	if err != nil {
		return nil, err
	}
	program, err := layer(o.name, binary, 0o555)
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(base,
		mutate.Addendum{Layer: trusted, MediaType: types.OCILayer, History: v1.History{CreatedBy: "certificates of public authorities"}},
		mutate.Addendum{Layer: program, MediaType: types.OCILayer, History: v1.History{CreatedBy: "go build " + o.pkg}})
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Variant = platform.OS, platform.Architecture, platform.Variant
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config = v1.Config{
		Entrypoint: []string{"/" + o.name}, User: user, WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "forewarm " + o.name,
			"org.opencontainers.image.version":  o.version,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(image, file)
}

// layer holds one file, with the folders above it.
func layer(name string, content []byte, mode int64) (v1.Layer, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	parts := strings.Split(name, "/")
	for i := range parts[1:] {
		folder := strings.Join(parts[:i+1], "/") + "/"
		if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
	}
	if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: mode, Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}

// certificates are the authorities that Mozilla trusts, as of the version of the module. Forewarm
// needs them for a Prometheus behind a public certificate only.
func certificates() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
	}
	return all.Bytes()
}
