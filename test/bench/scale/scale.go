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

package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"farpoint.dev/farpoint/test/bench/report"
	"farpoint.dev/farpoint/test/bench/statistics"
	"farpoint.dev/farpoint/test/bench/targets"
)

// burstObjects are those of which all endpoints fail at once.
const burstObjects = 50

// scene is the operator at work on a fleet.
type scene struct {
	fleet
	targets  *targets.Process
	cluster  *cluster
	operator *operator
	watch    *sliceWatch
	progress func(string)
	report   *report.Report
	// floor is what a bare client needs for the same writes.
	floor publishingFloor
}

// Measure runs the operator with ten thousand endpoints, and with fifty thousand.
func Measure(ctx context.Context, known *targets.Process, short bool, into *report.Report, progress func(string)) error {
	stage := func(f fleet, play func(*scene, context.Context) error) error {
		f.places = known.Places
		return onStage(ctx, &scene{fleet: f, targets: known, report: into, progress: progress}, play)
	}
	if short {
		return stage(fleet{scheme: "http", objects: 100, quick: burstObjects}, (*scene).playShort)
	}
	if err := stage(fleet{scheme: "http", objects: 1000, quick: burstObjects}, (*scene).playFlips); err != nil {
		return err
	}
	return stage(fleet{scheme: "tcp", objects: 5000}, (*scene).playCrowd)
}

// onStage starts what a scene needs, plays it, and ends all of it.
func onStage(ctx context.Context, s *scene, play func(*scene, context.Context) error) (err error) {
	folder, err := os.MkdirTemp("", "farpoint-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s.progress("a control plane for " + fmt.Sprint(s.endpoints()) + " endpoints")
	s.cluster, err = startCluster(folder)
	defer func() { err = errors.Join(err, s.cluster.stop()) }()
	if err != nil {
		return err
	}
	if s.watch, err = watchSlices(ctx, s.cluster.client); err != nil {
		return err
	}
	defer s.watch.watch.Stop()
	s.progress(fmt.Sprintf("create %d objects", s.objects))
	if err := s.create(ctx, s.cluster.client); err != nil {
		return err
	}
	s.progress("write by a bare client")
	if s.floor, err = s.measurePublishing(ctx); err != nil {
		return fmt.Errorf("measure a bare client: %w", err)
	}
	s.progress("start the operator")
	if s.operator, err = startOperator(s.cluster.kubeconfig, filepath.Join(folder, "operator.log")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.operator.stop()) }()
	if err := s.awaitPublished(ctx); err != nil {
		return err
	}
	return play(s, ctx)
}

// awaitPublished waits until everything is published and nothing more is written.
func (s *scene) awaitPublished(ctx context.Context) error {
	start := time.Now()
	if err := s.watch.readyEndpoints(ctx, s.endpoints(), 3*time.Minute); err != nil {
		return err
	}
	took, thousands := time.Since(start), s.endpoints()/1000
	s.report.Add(fmt.Sprintf("published_s_%dk", thousands), took.Seconds())
	s.report.Add(fmt.Sprintf("published_%dk_vs_bare", thousands), took.Seconds()/(s.floor.publish.Seconds()*float64(s.objects)))
	s.progress("all endpoints are published")
	return s.cluster.quiet(ctx, time.Minute)
}

// playFlips is the scene of ten thousand endpoints.
func (s *scene) playFlips(ctx context.Context) error {
	if err := s.idle(ctx, 20*time.Second); err != nil {
		return err
	}
	if err := s.memory("rss_mb_10k"); err != nil {
		return err
	}
	if err := s.flips(ctx, 3, 100, ""); err != nil {
		return err
	}
	if err := s.burst(ctx); err != nil {
		return err
	}
	return s.grpcWatch(ctx)
}

// playShort is the scene of BENCH_SHORT. What takes a full fleet has another name.
func (s *scene) playShort(ctx context.Context) error {
	if err := s.idle(ctx, 8*time.Second); err != nil {
		return err
	}
	if err := s.flips(ctx, 1, 40, "_short"); err != nil {
		return err
	}
	if err := s.burst(ctx); err != nil {
		return err
	}
	return s.grpcWatch(ctx)
}

// playCrowd is the scene of fifty thousand endpoints: ten thousand probes a second.
func (s *scene) playCrowd(ctx context.Context) error {
	s.progress("let the memory settle")
	if err := pause(ctx, 20*time.Second); err != nil {
		return err
	}
	if err := s.memory("rss_mb_50k"); err != nil {
		return err
	}
	most, err := s.operator.memory("VmHWM")
	if err != nil {
		return err
	}
	s.report.Add("rss_mb_50k_peak", most)
	cores, err := s.operator.cores(ctx, 10*time.Second)
	s.report.Add("operator_50k_cores", cores)
	return err
}

func (s *scene) memory(key string) error {
	now, err := s.operator.memory("VmRSS")
	s.report.Add(key, now)
	return err
}

// idle counts what is written while all endpoints stay as they are, and are probed.
func (s *scene) idle(ctx context.Context, length time.Duration) error {
	s.progress("watch it do nothing")
	before, err := s.cluster.writes(ctx)
	if err != nil {
		return err
	}
	cores, err := s.operator.cores(ctx, length)
	if err != nil {
		return err
	}
	after, err := s.cluster.writes(ctx)
	if err != nil {
		return err
	}
	more, total := difference(before, after)
	if total > 0 {
		s.progress(fmt.Sprint("written: ", more))
	}
	s.report.Add("idle_writes", total)
	s.report.Add(fmt.Sprintf("operator_%dk_cores", s.endpoints()/1000), cores)
	return nil
}

// flips lets single endpoints die, each in an object of its own, in waves that the probes
// discover within an interval. The time goes from the deciding answer, which the
// targets know, to the slice's arrival at a consumer; all are on one machine's clock.
func (s *scene) flips(ctx context.Context, waves, size int, suffix string) error {
	var took []time.Duration
	for wave := range waves {
		s.progress(fmt.Sprintf("flips, wave %d", wave+1))
		first := s.quick + wave*size
		var fell []int
		for number := first; number < first+size; number++ {
			fell = append(fell, number*targets.PerOwner)
		}
		latencies, err := s.failEndpoints(ctx, fell)
		if err != nil {
			return err
		}
		took = append(took, latencies...)
	}
	s.report.Add("flip_to_slice_ms_p50"+suffix, statistics.Milliseconds(statistics.Percentile(took, 50)))
	s.report.Add("flip_to_slice_ms_p99"+suffix, statistics.Milliseconds(statistics.Percentile(took, 99)))
	s.report.Add("flip_to_slice_p50_vs_bare"+suffix, statistics.Percentile(took, 50).Seconds()/s.floor.p50.Seconds())
	s.report.Add("flip_to_slice_p99_vs_bare"+suffix, statistics.Percentile(took, 99).Seconds()/s.floor.p99.Seconds())
	s.report.Add("bare_write_to_watch_ms_p50"+suffix, statistics.Milliseconds(s.floor.p50))
	s.report.Add("bare_write_to_watch_ms_p99"+suffix, statistics.Milliseconds(s.floor.p99))
	s.report.Spread("flip_to_slice_ms_p50"+suffix, []float64{statistics.Milliseconds(slices.Min(took)), statistics.Milliseconds(slices.Max(took))})
	return nil
}

// failEndpoints lets endpoints die and returns, for each, the time until a consumer knew.
func (s *scene) failEndpoints(ctx context.Context, indexes []int) ([]time.Duration, error) {
	s.watch.mu.Lock()
	before := s.watch.readyCount
	s.watch.mu.Unlock()
	if err := s.targets.Fail(indexes); err != nil {
		return nil, err
	}
	if err := s.watch.readyEndpoints(ctx, before-len(indexes), 20*time.Second); err != nil {
		return nil, err
	}
	var took []time.Duration
	for range indexes {
		decided := <-s.targets.Answers
		took = append(took, s.watch.changedAt(published(decided.Index)).Sub(time.Unix(0, decided.At)))
	}
	return took, nil
}

// burst lets all endpoints of some objects die at once, and counts the writes that the
// worst slice got.
func (s *scene) burst(ctx context.Context) error {
	s.progress("a burst of flips")
	before := s.watch.generationsNow()
	indexes := make([]int, burstObjects*targets.PerOwner)
	for i := range indexes {
		indexes[i] = i
	}
	took, err := s.failEndpoints(ctx, indexes)
	if err != nil {
		return err
	}
	if err := pause(ctx, 2*time.Second); err != nil { // for writes that would come on top
		return err
	}
	var most int64
	for name, generation := range s.watch.generationsNow() {
		most = max(most, generation-before[name])
	}
	s.report.Add("burst_500_flips_writes", float64(most))
	s.report.Add("burst_500_flips_ms_p99", statistics.Milliseconds(statistics.Percentile(took, 99)))
	return nil
}
