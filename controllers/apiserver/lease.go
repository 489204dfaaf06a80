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

// Periods of the leader election. A waiting replica reads the lease every 1 to 2.2 times
// RetryPeriod, and starts to count when it first sees a renewal. So it takes over after
// LeaseDuration + 2 * 2.2 * RetryPeriod at the latest: within 15 s.
const (
	LeaseName     = "farpoint-manager"
	LeaseDuration = 10 * time.Second
	RenewDeadline = 7 * time.Second
	RetryPeriod   = time.Second
)

// A waiting replica that could not read the lease for outageThreshold leaves it to its holder for
// holderGrace: the holder tries to renew it every RetryPeriod, or after half of RenewDeadline if
// there was no answer.
const outageThreshold, holderGrace = LeaseDuration / 2, RenewDeadline/2 + 2*RetryPeriod

// errHolderFirst is what a waiting replica gets instead of the lease for holderGrace.
var errHolderFirst = errors.New("the API server was unreachable: the holder of the lease may renew it first")

// Lease is the lock of the leader election.
//
// A leader that cannot reach the API server keeps the lease: nobody else can get it either, and
// the probes go on, so that what has happened meanwhile can be published as soon as the API
// server is back. If only this leader cannot reach the API server, another replica may have taken
// over. So from the moment its lease would have expired, the leader writes nothing until the API
// server has confirmed the lease.
//
// Once the API server is back, all waiting replicas would find the lease expired, and the first
// to ask would get it. They leave it to its holder, which knows more: see holderGrace.
//
// The election asks the API server every second. While there is no answer, requests wait instead
// of failing: failed requests are retried after ever longer pauses, so that it would take up to
// half a minute to notice that the API server is back.
type Lease struct {
	// Interface is the lock itself. It is set before the election begins; nil if there
	// is none.
	resourcelock.Interface
	clock clock.PassiveClock

	// mu guards what follows. Nothing waits while holding it.
	mu sync.Mutex
	// away: the API server did not answer the last request.
	away bool
	// confirmed is when the last successful renewal of the lease was sent; zero if the lease is
	// not ours.
	confirmed time.Time
	// record and raw are the lease as it was last read.
	record *resourcelock.LeaderElectionRecord
	raw    []byte
	// read is when the lease was last read, and returned is when it was first read after an
	// outage; zero if never.
	read, returned time.Time
	// changed is closed when any of this changes.
	changed chan struct{}
}

// NewLease returns a lease without a lock: set its Interface before the election begins.
func NewLease(clock clock.PassiveClock) *Lease {
	return &Lease{clock: clock, changed: make(chan struct{})}
}

// Get implements resourcelock.Interface. If the API server does not answer and the lease was
// ours, it returns the lease as it was last read.
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

// yields reports whether the holder of the lease may not have had the time to renew it yet. It is
// called with mu held, after the lease was read.
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

// Update implements resourcelock.Interface. A renewal that the API server does not answer counts
// as successful: see Lease.
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

// recordAnswer notes whether the API server has answered, and wakes waiting requests. It is
// called with mu held.
func (l *Lease) recordAnswer(err error) {
	l.away = IsUnreachable(err)
	close(l.changed)
	l.changed = make(chan struct{})
}

// Leading waits until the API server answers and the lease is ours.
func (l *Lease) Leading(ctx context.Context) error { return l.ready(ctx, true) }

// ready waits until the API server answers and, for a write, the lease is ours. Without an
// election it returns at once.
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

// Wrap makes requests wait until the API server answers, and writes until the lease is ours.
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

// isWrite reports whether a request changes something that only the leader may change. Reviews of
// tokens and of access are POST requests that change nothing, and Events change nothing that
// anybody else has written.
func isWrite(request *http.Request) bool {
	path := request.URL.Path
	return request.Method != http.MethodGet && !strings.HasSuffix(path, "/events") &&
		!strings.HasPrefix(path, "/apis/authentication.k8s.io/") && !strings.HasPrefix(path, "/apis/authorization.k8s.io/")
}

// IsUnreachable reports whether the error says that the API server itself did not answer, even if
// the network or a load balancer did.
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

// IsUndecided reports whether the error says that the API server has not decided about a request.
func IsUndecided(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) && (status.Status().Code >= 500 || status.Status().Code == http.StatusTooManyRequests) {
		return true
	}
	return IsUnreachable(err)
}
