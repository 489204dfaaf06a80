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

package scheduler

import (
	"context"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// What a probe sees of certificates is known, be the session resumed or the certificate
// refused, for every scheme that may make use of TLS.
func TestCertificateExpiryIsKnown(t *testing.T) {
	ca := probetest.NewAuthority(t) // valid for an hour itself
	for _, test := range []struct {
		name     string
		change   tls.Certificate
		settings transport.TLSSettings
		want     time.Duration
	}{
		{"of the endpoint", ca.Issue(t, probetest.Lasting(20*time.Minute)), transport.TLSSettings{CABundle: ca.Bundle()}, 20 * time.Minute},
		{"of its authority", ca.Issue(t, probetest.Lasting(240*time.Hour)), transport.TLSSettings{CABundle: ca.Bundle()}, time.Hour},
		{"unverified", ca.Issue(t, probetest.Lasting(240*time.Hour)), transport.TLSSettings{InsecureSkipVerify: true}, 240 * time.Hour},
		{"expired", ca.Issue(t, probetest.Expired), transport.TLSSettings{CABundle: ca.Bundle()}, -time.Minute},
	} {
		for _, url := range []string{"https://", "tls://"} {
			t.Run(url+" "+test.name, func(t *testing.T) {
				def := probeOf(probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{test.change}}, probetest.Responding(probetest.Well))), url)
				def.TLS = &test.settings
				prober := newProber(t, def)
				if got := prober.(probes.TLSInfo).CertificateExpiry(); !got.IsZero() {
					t.Errorf("%v before the first probe", got)
				}
				for range 3 {
					probeOutside(t, prober, probetest.Ample)
					got := time.Until(prober.(probes.TLSInfo).CertificateExpiry())
					if off := got - test.want; off < -time.Minute || off > time.Minute {
						t.Errorf("expires in %v, want %v", got, test.want)
					}
				}
			})
		}
	}
	for _, url := range []string{"http://", "https://", "tls://", "grpc://", "grpcs://", "redis://", "rediss://", "mysql://", "postgres://"} {
		prober := newProber(t, probeOf(probetest.Refusing(t), url))
		if of, ok := prober.(probes.TLSInfo); !ok || !of.CertificateExpiry().IsZero() {
			t.Errorf("%s: %T is not asked for what it sees of certificates", url, prober)
		}
	}
}

func TestObservations(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		prober := answering(probes.SuccessResult())
		prober.set(func(context.Context) probes.Result { time.Sleep(250 * time.Millisecond); return probes.SuccessResult() })
		s.Set(owner, []Target{target(prober)})
		time.Sleep(time.Second)
		synctest.Wait()
		list := s.Observations(owner, nil)
		if want := (Observation{Key: "a", Took: 250 * time.Millisecond}); len(list) != 1 || list[0] != want {
			t.Errorf("%+v, want %+v", list, want)
		}
		if list = s.Observations(probes.Owner{Name: "nobody"}, list[:0]); len(list) != 0 {
			t.Errorf("%+v of nobody", list)
		}
	})
}

// A target that keeps dying is said to be flapping until it has been quiet for a while.
func TestFlapping(t *testing.T) {
	limits, at := health.Thresholds{Failure: 1, Success: 1}, time.Unix(1_000_000, 0)
	current := health.New(health.StateHealthy)
	for death := 1; death <= health.FreeFalls+1; death++ {
		if current.Flapping(at) {
			t.Fatalf("flapping before death %d", death)
		}
		at = at.Add(10 * time.Second)
		current.Observe(probes.FailureResult(probes.ReasonTimeout), limits, at)
		if death <= health.FreeFalls {
			at = at.Add(10 * time.Second)
			current.Observe(probes.SuccessResult(), limits, at)
		}
	}
	if !current.Flapping(at) {
		t.Errorf("not flapping after %d deaths in 2 minutes", health.FreeFalls+1)
	}
	if current.Flapping(at.Add(health.FlapWindow)) {
		t.Error("flapping for ever")
	}
}
