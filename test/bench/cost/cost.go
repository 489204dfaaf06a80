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
	"fmt"
	"time"

	"farpoint.dev/farpoint/test/bench/report"
	"farpoint.dev/farpoint/test/bench/statistics"
	"farpoint.dev/farpoint/test/bench/targets"
)

// step is one of the measurements of a round.
type step struct {
	name string
	task task
	// rounds bounds how often it is made.
	rounds int
}

// stepsOf are the measurements of the engine alone, in the order of a round.
func stepsOf(short bool) []step {
	fast := task{Targets: 2000, Warm: 300 * time.Millisecond, For: 1200 * time.Millisecond}
	paced := task{Interval: 2 * time.Second, Warm: 2 * time.Second, For: 5 * time.Second}
	paceRounds := 3
	if short {
		fast.For, paced.Warm, paced.For, paceRounds = 700*time.Millisecond, time.Second, 2*time.Second, 1
	}
	saturated := func(name, kind, scheme string) step {
		work := fast
		work.Kind, work.Scheme = kind, scheme
		if scheme == "https" {
			work.Targets = 64 // few, so that each is probed often enough to resume its sessions
		}
		return step{name, work, 3}
	}
	atPace := func(name, kind, scheme string, targets, blackHoled int) step {
		work := paced
		work.Kind, work.Scheme, work.Targets, work.BlackHoled = kind, scheme, targets, blackHoled
		if kind == "epoll, paced" {
			return step{name, work, 1} // no ratio uses it
		}
		return step{name, work, paceRounds}
	}
	steps := []step{
		saturated("http", "engine, saturated", "http"),
		saturated("goroutines", "probers, saturated", "http"),
		saturated("floor", "floor, saturated", "http"),
		saturated("epoll", "epoll, saturated", "http"),
		saturated("nethttp", "net/http, saturated", "http"),
		saturated("tcp", "engine, saturated", "tcp"),
		saturated("https", "engine, saturated", "https"),
		saturated("https_nethttp", "net/http, saturated", "https"),
		atPace("1k", "engine, paced", "http", 2000, 0),
		atPace("1k_nethttp", "net/http, paced", "http", 2000, 0),
		atPace("1k_epoll", "epoll, paced", "http", 2000, 0),
		atPace("5k", "engine, paced", "http", 10_000, 0),
		atPace("5k_nethttp", "net/http, paced", "http", 10_000, 0),
		atPace("5k_epoll", "epoll, paced", "http", 10_000, 0),
		atPace("5k_timer", "timer, paced", "http", 10_000, 0),
		atPace("5k_black_holed", "engine, paced", "http", 10_000, 20),
		{"beside_greedy", task{Kind: "engine, paced", Scheme: "https", Targets: 1000, Interval: 2 * time.Second, Greedy: 10_000, Warm: paced.Warm, For: paced.For}, 1},
		{"bytes", task{Kind: "engine's bytes", Scheme: "http", Targets: 50_000, Unseeded: true, Interval: time.Hour, For: 50 * time.Second}, 1},
	}
	if short {
		return steps
	}
	manyTCP := atPace("tcp_50k", "engine, paced", "tcp", 50_000, 0)
	manyTCP.task.Interval, manyTCP.task.For = 5*time.Second, 5*time.Second
	return append(steps, manyTCP)
}

// samples are the figures of every round, by the name of the step.
type samples map[string][]figures

// Measure measures what probes cost, and adds the figures to the report.
func Measure(ctx context.Context, known *targets.Process, short bool, into *report.Report, progress func(string)) error {
	results, err := measureRounds(ctx, known, stepsOf(short), progress)
	if err != nil {
		return err
	}
	results.addTo(into)
	return nil
}

// measureRounds makes the rounds. The steps of a round follow each other, rather than the
// rounds of a step, so that whatever else the machine does hits all of them alike.
func measureRounds(ctx context.Context, known *targets.Process, steps []step, progress func(string)) (samples, error) {
	results := samples{}
	for round := 0; ; round++ {
		left := false
		for _, step := range steps {
			if round >= step.rounds {
				continue
			}
			left = true
			progress(fmt.Sprintf("round %d: %s, %s", round+1, step.task.Kind, step.name))
			figures, err := measureOrRepeat(ctx, known, step.task, progress)
			if err != nil {
				return nil, err
			}
			results[step.name] = append(results[step.name], figures)
		}
		if !left {
			return results, nil
		}
	}
}

// measureOrRepeat measures, and does so again if the figures mean nothing: a machine that
// has other things to do as well loses a second now and then.
func measureOrRepeat(ctx context.Context, known *targets.Process, t task, progress func(string)) (result figures, err error) {
	for range 3 {
		if result, err = measure(ctx, known, t); err != nil {
			return nil, err
		}
		if err = check(t, result); err == nil {
			return result, nil
		}
		progress(err.Error())
	}
	return nil, err
}

// check refuses figures that do not mean what they should.
func check(t task, result figures) error {
	if probes := max(result["probes"], result["answered"]); result["failed"] > probes/1000 {
		return fmt.Errorf("%s: %.0f of %.0f probes failed", t.Kind, result["failed"], probes)
	}
	if t.Kind == "timer, paced" {
		return nil // it makes no probes
	}
	if total, ok := result["cpu_total_us"]; ok {
		result["cpu_us"] = total / result["answered"]
	}
	if t.Interval > 0 && !t.Unseeded {
		return checkPace(t, result)
	}
	return nil
}

// of are the values of one figure.
func (s samples) of(step, figure string) []float64 {
	var values []float64
	for _, figures := range s[step] {
		values = append(values, figures[figure])
	}
	return values
}

func (s samples) median(step, figure string) float64 { return statistics.Median(s.of(step, figure)) }

// ratio is the median of what a probe costs in one step, as a share of what it costs in
// another, within each round.
func (s samples) ratio(step, base string) float64 {
	var ratios []float64
	for i, value := range s.of(step, "cpu_us") {
		ratios = append(ratios, value/s.of(base, "cpu_us")[i])
	}
	return statistics.Median(ratios)
}

// addTo puts the medians under the names of dist/bench.json.
func (s samples) addTo(into *report.Report) {
	cost := func(key, step string) {
		into.Add(key, s.median(step, "cpu_us"))
		into.Spread(key, s.of(step, "cpu_us"))
	}
	cost("http_probe_cpu_us", "http")
	cost("http_paced_1k_cpu_us", "1k")
	cost("http_paced_5k_cpu_us", "5k")
	into.Add("http_paced_1k_vs_nethttp", s.ratio("1k", "1k_nethttp"))
	into.Add("http_paced_5k_vs_nethttp", s.ratio("5k", "5k_nethttp"))
	into.Add("http_probe_vs_floor", s.ratio("http", "floor"))
	cost("http_goroutine_cpu_us", "goroutines")
	into.Add("http_goroutine_vs_floor", s.ratio("goroutines", "floor"))
	cost("tcp_probe_cpu_us", "tcp")
	cost("https_probe_cpu_us", "https")
	into.Add("https_probe_vs_nethttp", s.ratio("https", "https_nethttp"))
	into.Add("engine_bytes_per_target", s.median("bytes", "bytes"))
	into.Add("probes_per_second_per_core", 1e6/s.median("http", "cpu_us"))
	late := func(key, step string) {
		into.Add(key, s.median(step, "p99_ms"))
		into.Spread(key, s.of(step, "p99_ms"))
	}
	late("lateness_p99_ms", "5k")
	late("lateness_p99_ms_blackholed", "5k_black_holed")
	into.Add("lateness_p99_ms_beside_greedy", s.median("beside_greedy", "p99_ms"))
	into.Add("timer_lateness_p99_ms", s.median("5k_timer", "late_p99_ms"))
	lateVsTimer := func(key, step string) {
		into.Add(key, s.median(step, "p99_ms")/s.median("5k_timer", "late_p99_ms"))
	}
	lateVsTimer("lateness_p99_vs_timer", "5k")
	lateVsTimer("lateness_p99_vs_timer_blackholed", "5k_black_holed")
	lateVsTimer("lateness_p99_vs_timer_beside_greedy", "beside_greedy")
	into.Add("lateness_rate", s.median("5k", "answered")/s.median("5k", "seconds"))
	// What else was measured on the way: the baselines, and how near an event loop gets.
	cost("floor_cpu_us", "floor")
	cost("floor_epoll_cpu_us", "epoll")
	cost("floor_epoll_paced_1k_cpu_us", "1k_epoll")
	cost("floor_epoll_paced_5k_cpu_us", "5k_epoll")
	cost("nethttp_cpu_us", "nethttp")
	cost("nethttp_paced_1k_cpu_us", "1k_nethttp")
	cost("nethttp_paced_5k_cpu_us", "5k_nethttp")
	cost("nethttps_cpu_us", "https_nethttp")
	if len(s["tcp_50k"]) > 0 {
		into.Add("tcp_50k_5s_cores", s.median("tcp_50k", "cores"))
		cost("tcp_paced_10k_cpu_us", "tcp_50k")
		into.Add("tcp_paced_10k_vs_epoll", s.median("tcp_50k", "cpu_us")/s.median("5k_epoll", "cpu_us"))
	}
}
