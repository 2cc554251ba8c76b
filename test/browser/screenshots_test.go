package browser

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// screenshots is a flag, so that tests write no files unless asked to: make screenshots.
var screenshots = flag.String("screenshots", "", "folder to write pictures of the console and the dashboards to")

// mostBytes is how large a picture in the repository may be.
const mostBytes = 300 << 10

// takePictures shows a pool and the plans, on a desktop and on a phone, by day and by night.
func takePictures(t *testing.T, e *env, ctx context.Context, pool string) {
	t.Helper()
	defer run(t, ctx, chromedp.ResetViewport())
	defer prefer(t, ctx, "")
	for _, shot := range []struct {
		name, path, scheme string
		width, height      int64
		options            []chromedp.EmulateViewportOption
	}{
		{"console-pool-light.png", "/pools/" + pool, "light", 1100, 1500, nil},
		{"console-pool-dark.png", "/pools/" + pool, "dark", 1100, 1500, nil},
		{"console-plans-light.png", "/plans", "light", 1100, 620, nil},
		{"console-phone-light.png", "/pools/" + pool, "light", 390, 844, []chromedp.EmulateViewportOption{chromedp.EmulateMobile}},
		{"console-phone-dark.png", "/plans", "dark", 390, 844, []chromedp.EmulateViewportOption{chromedp.EmulateMobile}},
	} {
		prefer(t, ctx, shot.scheme)
		run(t, ctx, chromedp.EmulateViewport(shot.width, shot.height, shot.options...), chromedp.Navigate(e.url+shot.path), chromedp.WaitReady(chromedp.CSS("main")))
		shows(t, ctx, "Live: this page renews itself.")
		takePicture(t, ctx, shot.name)
	}
}

// takePicture writes what the browser shows to a file.
func takePicture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if len(picture) < 5<<10 || len(picture) > mostBytes {
		t.Errorf("%s has %d bytes, want at most %d", name, len(picture), mostBytes)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
