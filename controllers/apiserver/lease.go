/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package apiserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
)

// How the leader is elected. A replica that waits looks at the lease after retryPeriod and
// up to 1.2 times as much more, and begins to count when it first sees a renewal. So it
// takes over after leaseDuration + 2 * 2.2 * retryPeriod at the latest: within 15 s.
const (
	LeaseName     = "farpoint-manager"
	LeaseDuration = 10 * time.Second
	RenewDeadline = 7 * time.Second
	RetryPeriod   = time.Second
)

// A replica that waits and has not been able to read the lease for the outageThreshold lets its
// holder have the first word for the holderGrace: the holder asks once a retryPeriod, or
// after half of renewDeadline if nobody has answered.
const outageThreshold, holderGrace = LeaseDuration / 2, RenewDeadline/2 + 2*RetryPeriod

// errHolderFirst is what a replica gets instead of the lease.
var errHolderFirst = errors.New("the API server was unreachable: the holder of the lease may renew it first")

// Lease is the lock of the leader election.
//
// A leader that cannot reach the API server keeps it: nobody else can get it there either,
// and the probes go on, so that what has happened meanwhile can be published as soon as
// the API server is back. Perhaps it is only this leader who cannot reach it, and another
// has taken over. So the leader writes nothing from the moment on at which its lease would
// have expired, until the API server has confirmed it.
//
// Once the API server is back, all that have waited would find the lease expired, and the
// first to ask would have it. It is left to its holder, who knows more: see holderGrace.
//
// The election asks the API server every second. While it gets no answer, requests wait
// instead of failing, since who fails tries again after ever longer pauses, and would not
// notice for up to half a minute that the API server is back.
type Lease struct {
	// Interface is the lock itself. It is set before the election begins; nil if there
	// is none.
	resourcelock.Interface
	clock clock.PassiveClock

	// mu guards what follows. Nothing waits while holding it.
	mu sync.Mutex
	// away: the API server did not answer when it was last asked.
	away bool
	// confirmed is when the request was sent that renewed the lease last; zero if it is
	// not ours.
	confirmed time.Time
	// record and raw are the lease as it was last read.
	record *resourcelock.LeaderElectionRecord
	raw    []byte
	// read is when the lease was last read, and returned when it was for the first time
	// after an absence; zero if never.
	read, returned time.Time
	// changed is closed when any of this changes.
	changed chan struct{}
}

// NewLease returns a lease without a lock: set its Interface before the election begins.
func NewLease(clock clock.PassiveClock) *Lease {
	return &Lease{clock: clock, changed: make(chan struct{})}
}

// Get implements resourcelock.Interface. What the API server does not answer is taken to be
// as it was, if the lease was ours.
func (l *Lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recordAnswer(err)
	if err == nil {
		l.record, l.raw = record, raw
		if record.HolderIdentity != l.Identity() {
			if l.confirmed.IsZero() && l.yields(record) {
				return nil, nil, errHolderFirst
			}
			l.confirmed = time.Time{}
		}
	} else if IsUndecided(err) && l.record != nil && !l.confirmed.IsZero() {
		return l.record, l.raw, nil
	}
	return record, raw, err
}

// yields reports whether the one that holds the lease may not have had its say yet. It is
// called with mu held, when the lease has been read.
func (l *Lease) yields(record *resourcelock.LeaderElectionRecord) bool {
	now := l.clock.Now()
	if !l.read.IsZero() && now.Sub(l.read) > outageThreshold {
		l.returned = now
	}
	l.read = now
	return record.HolderIdentity != "" && !l.returned.IsZero() && now.Sub(l.returned) < holderGrace
}

// Create implements resourcelock.Interface.
func (l *Lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	sent := l.clock.Now()
	err := l.Interface.Create(ctx, record)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recordAnswer(err)
	if err == nil {
		l.confirmed = sent
	}
	return err
}

// Update implements resourcelock.Interface. A renewal that the API server does not answer
// counts as one: see lease.
func (l *Lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	sent := l.clock.Now()
	err := l.Interface.Update(ctx, record)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recordAnswer(err)
	switch {
	case record.HolderIdentity != l.Identity(): // released
		l.confirmed = time.Time{}
	case err == nil:
		l.confirmed = sent
	case IsUndecided(err) && !l.confirmed.IsZero():
		return nil
	}
	return err
}

// recordAnswer notes whether the API server has answered, and lets who waits look again. It is
// called with mu held.
func (l *Lease) recordAnswer(err error) {
	l.away = IsUnreachable(err)
	close(l.changed)
	l.changed = make(chan struct{})
}

// Leading waits until the API server is there and the lease is ours.
func (l *Lease) Leading(ctx context.Context) error { return l.ready(ctx, true) }

// ready waits until the API server is there and, for a write, the lease is ours. Without
// an election nobody waits.
func (l *Lease) ready(ctx context.Context, write bool) error {
	for l.Interface != nil {
		l.mu.Lock()
		now := !l.away && (!write || l.clock.Since(l.confirmed) < LeaseDuration)
		changed := l.changed
		l.mu.Unlock()
		if now {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
	return nil
}

// Wrap has requests wait until they make sense.
func (l *Lease) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if err := l.ready(request.Context(), isWrite(request)); err != nil {
			return nil, err
		}
		return next.RoundTrip(request)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// isWrite reports whether a request changes something that only the leader may change. The
// questions who somebody is and what they may do are put by POST, and Events change
// nothing that anybody else has written.
func isWrite(request *http.Request) bool {
	path := request.URL.Path
	return request.Method != http.MethodGet && !strings.HasSuffix(path, "/events") &&
		!strings.HasPrefix(path, "/apis/authentication.k8s.io/") && !strings.HasPrefix(path, "/apis/authorization.k8s.io/")
}

// IsUnreachable reports whether the error is that there was no answer of the API server's, be it
// that the network or a load balancer has given one.
func IsUnreachable(err error) bool {
	var transport *url.Error
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &transport):
		return true
	}
	return apierrors.IsServiceUnavailable(err) || utilnet.IsTimeout(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err)
}

// IsUndecided reports whether the error is that the API server has not decided about a
// request.
func IsUndecided(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) && (status.Status().Code >= 500 || status.Status().Code == http.StatusTooManyRequests) {
		return true
	}
	return IsUnreachable(err)
}
