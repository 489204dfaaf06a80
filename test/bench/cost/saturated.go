//go:build linux

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

package cost

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/bench/targets"
)

// workers is how many probes are under way at a time when they are made as fast as
// possible: enough to keep the machine busy.
const workers = 16

const probeTimeout = 2 * time.Second

// registry returns the real probers, let loose on the loopback.
func registry() protocol.Registry {
	return protocol.NewRegistry(transport.NewDialer(egress.NewPolicy(egress.Rules{AllowLoopbackProbes: true})))
}

func (t task) definition(index int) protocol.Definition {
	def := protocol.Definition{URL: t.Places.URL(t.Scheme, index)}
	if t.Scheme == "https" {
		def.TLS = &transport.TLSSettings{ServerName: targets.ServerName, CABundle: []byte(t.Places.Authority)}
	}
	return def
}

// measureSaturatedEngine has the engine make as many probes as it can, a few at a time:
// all targets are due all the time.
func measureSaturatedEngine(t task, begin func()) (figures, error) {
	t.Interval = time.Millisecond
	engine, err := t.newScheduler(scheduler.Options{MaxInFlight: workers, MaxInFlightPerNamespace: workers})
	if err != nil {
		return nil, err
	}
	stop := run(engine)
	time.Sleep(t.Warm)
	begin()
	elapsed, cpu, err := during(func() { time.Sleep(t.For) })
	doubtful := t.doubtful(engine)
	return total(elapsed, cpu, doubtful), errors.Join(err, stop())
}

// measureSaturatedProbers makes probes by the engine's probers in goroutines of its own,
// which is what the engine does itself where its loop does not.
func measureSaturatedProbers(t task, begin func()) (figures, error) {
	known, all := registry(), make([]probes.Prober, t.Targets)
	for i := range all {
		prober, err := known.New(t.definition(i))
		if err != nil {
			return nil, err
		}
		all[i] = prober
	}
	return t.saturate(begin, func(index int) bool {
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
		defer cancel()
		return all[index].Probe(ctx).Outcome == probes.Success
	})
}

// measureSaturatedNetHTTP makes probes as kubelet and blackbox_exporter do.
func measureSaturatedNetHTTP(t task, begin func()) (figures, error) {
	client, err := t.client()
	if err != nil {
		return nil, err
	}
	return t.saturate(begin, func(index int) bool {
		return probeByNetHTTP(context.Background(), client, t.Places.URL(t.Scheme, index)) == nil
	})
}

// client is one of net/http that opens a connection for each probe.
func (t task) client() (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(t.Places.Authority)) {
		return nil, errors.New("the targets' authority cannot be read")
	}
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{ServerName: targets.ServerName, RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// probeByNetHTTP makes a probe with a deadline over all of it. Like kubelet's, it reads
// up to 10 KiB of the body.
func probeByNetHTTP(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(io.LimitReader(response.Body, 10<<10)); err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

// saturate makes probes as fast as possible. No target is probed twice at the same time.
func (t task) saturate(begin func(), probe func(index int) bool) (figures, error) {
	var done, failed atomic.Int64
	var ends atomic.Bool
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for index := worker; !ends.Load(); index = (index + workers) % t.Targets {
				if !probe(index) {
					failed.Add(1)
				}
				done.Add(1)
			}
		})
	}
	time.Sleep(t.Warm)
	begin()
	first := done.Load()
	elapsed, cpu, err := during(func() { time.Sleep(t.For) })
	count := done.Load() - first
	ends.Store(true)
	all.Wait()
	return perProbe(count, failed.Load(), elapsed, cpu), err
}

func perProbe(count, failed int64, elapsed, cpu time.Duration) figures {
	return figures{
		"probes": float64(count), "failed": float64(failed), "seconds": elapsed.Seconds(),
		"cpu_us": float64(cpu.Microseconds()) / float64(count),
	}
}
