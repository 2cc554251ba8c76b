// Package intake takes demand that others declare by signed HTTP calls, and makes DemandEvents of it, so that
// it is admitted, bounded and audited as those are.
package intake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Headers of a call.
const (
	// HeaderTimestamp is when the call was signed, in seconds since 1970.
	HeaderTimestamp = "X-Forewarm-Timestamp"
	// HeaderSignature is sha256= and the HMAC-SHA256, in hexadecimal, of the timestamp, a point, and the body.
	HeaderSignature = "X-Forewarm-Signature"
)

// window is how far a timestamp may be from now.
const window = 5 * time.Minute

// shortest is how long a secret must be at least.
const shortest = 32

// Sign is what a call must carry as HeaderSignature.
func Sign(secret []byte, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// verify says why a call is not who it says that it is; nil if it is.
func verify(secrets [][]byte, timestamp, signature string, body []byte, now time.Time) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("header %s is %q: write the seconds since 1970 at which the call is signed", HeaderTimestamp, timestamp)
	}
	if away := now.Sub(time.Unix(seconds, 0)); away > window || away < -window {
		return fmt.Errorf("header %s is %s away from %s: sign again, and check the clock", HeaderTimestamp, away.Round(time.Second), now.UTC().Format(time.RFC3339))
	}
	for _, secret := range secrets {
		if hmac.Equal([]byte(signature), []byte(Sign(secret, timestamp, body))) {
			return nil
		}
	}
	return fmt.Errorf("header %s is not that of this body at this time: it is sha256= and the HMAC-SHA256 of TIMESTAMP.BODY", HeaderSignature)
}

// secretsOf are the secrets of a file, one a line, so that a new one can be added before the old one goes.
func secretsOf(data []byte) ([][]byte, error) {
	var secrets [][]byte
	for line := range strings.Lines(string(data)) {
		secret := strings.TrimSpace(line)
		switch {
		case secret == "":
		case len(secret) < shortest:
			return nil, fmt.Errorf("a secret has %d characters: write %d at least, such as openssl rand -hex 32 gives", len(secret), shortest)
		default:
			secrets = append(secrets, []byte(secret))
		}
	}
	if len(secrets) == 0 {
		return nil, errors.New("it holds no secret: write one a line, such as openssl rand -hex 32 gives")
	}
	return secrets, nil
}

// nameOf is the name of what a call declares: the same call has the same, so that it is made once, whichever
// replica it reaches. The name tells nothing of the secret.
func nameOf(timestamp string, body []byte) string {
	sum := sha256.Sum256(append([]byte(timestamp+"."), body...))
	return "call-" + hex.EncodeToString(sum[:10])
}
