package progress

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// TestStart: nothing is told of what is quick, and of what is not, what it is at then.
func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, stop := Start(t.Context(), &out, "reading")
		time.Sleep(Every - time.Millisecond)
		synctest.Wait()
		if out.Len() > 0 {
			t.Errorf("told %q of what is quick", out.String())
		}
		time.Sleep(2 * time.Millisecond)
		At(ctx, "%d of %d", 1, 2)
		time.Sleep(Every)
		At(ctx, "")
		time.Sleep(Every)
		synctest.Wait()
		stop()
		stop()
		if want := "[  2 s] reading\n[  4 s] 1 of 2\n"; out.String() != want {
			t.Errorf("told %q, want %q", out.String(), want)
		}
	})
	At(t.Context(), "nobody hears it")
}
