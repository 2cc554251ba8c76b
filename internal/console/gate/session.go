package gate

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"
)

// perUser is how many sessions one user may have; another ends the one that has rested longest.
const perUser = 8

// Token is a bearer token. It is never printed.
type Token string

// String says nothing.
func (Token) String() string { return "(a token)" }

// GoString says nothing.
func (Token) GoString() string { return "(a token)" }

// MarshalText says nothing.
func (Token) MarshalText() ([]byte, error) { return []byte("(a token)"), nil }

// Session is one stay of somebody who has signed in.
type Session struct {
	// User is who, as the cluster knows him.
	User user.Info
	// Token is what he has signed in with.
	Token Token
	// Ends is when it ends, whatever is done in it.
	Ends time.Time
	// Kept is what pages keep for the session, by their own keys. It goes with it.
	Kept sync.Map

	form string
	seen time.Time
}

// Form is what forms of the session carry, so that no other page can write them.
func (s *Session) Form() string { return s.form }

// Wrote says whether a form with that value is of the session.
func (s *Session) Wrote(form string) bool {
	return subtle.ConstantTimeCompare([]byte(form), []byte(s.form)) == 1
}

// sessions are in memory only. They are found by the digest of their id, so that looking one up tells
// nothing of the ids of others.
type sessions struct {
	idle, lifetime time.Duration
	most           int
	clock          clock.PassiveClock

	mu  sync.Mutex
	all map[[sha256.Size]byte]*Session
}

func newSessions(idle, lifetime time.Duration, most int, c clock.PassiveClock) *sessions {
	return &sessions{idle: idle, lifetime: lifetime, most: most, clock: c, all: map[[sha256.Size]byte]*Session{}}
}

func (s *sessions) open(token Token, who user.Info) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	s.makeRoom(who)
	if len(s.all) >= s.most {
		return "", ErrFull
	}
	now, id := s.clock.Now(), rand.Text()
	s.all[sha256.Sum256([]byte(id))] = &Session{User: who, Token: token, Ends: now.Add(s.lifetime), form: rand.Text(), seen: now}
	return id, nil
}

// makeRoom ends the session of a user that has rested longest, where he has as many as he may.
func (s *sessions) makeRoom(who user.Info) {
	var oldest [sha256.Size]byte
	count, at := 0, time.Time{}
	for key, session := range s.all {
		if session.User.GetName() != who.GetName() {
			continue
		}
		if count++; at.IsZero() || session.seen.Before(at) {
			oldest, at = key, session.seen
		}
	}
	if count >= perUser {
		delete(s.all, oldest)
	}
}

// find is the session of an id, nil where there is none, or no more.
func (s *sessions) find(id string, active bool) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(id))
	session := s.all[key]
	if session == nil {
		return nil
	}
	if s.over(session) {
		delete(s.all, key)
		return nil
	}
	if active {
		session.seen = s.clock.Now()
	}
	return session
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(id)))
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	return len(s.all)
}

// sweep drops sessions that are over, and their tokens with them.
func (s *sessions) sweep() {
	for key, session := range s.all {
		if s.over(session) {
			delete(s.all, key)
		}
	}
}

func (s *sessions) over(session *Session) bool {
	now := s.clock.Now()
	return !now.Before(session.Ends) || now.Sub(session.seen) >= s.idle
}
