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

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// limits are the most that a figure may be. None is a time: each is bytes, writes, or a ratio
// to a floor that was measured in the same run.
var limits = map[string]float64{
	"http_paced_1k_vs_nethttp":            0.5,
	"http_paced_5k_vs_nethttp":            0.5,
	"http_probe_vs_floor":                 1.8,
	"https_probe_vs_nethttp":              0.8,
	"engine_bytes_per_target":             700,
	"tcp_paced_10k_vs_epoll":              1.5,
	"lateness_p99_vs_timer":               5,
	"lateness_p99_vs_timer_blackholed":    10,
	"lateness_p99_vs_timer_beside_greedy": 100,
	"flip_to_slice_p50_vs_bare":           8,
	"flip_to_slice_p99_vs_bare":           8,
	"published_10k_vs_bare":               12,
	"published_50k_vs_bare":               12,
	"burst_500_flips_writes":              2,
	"idle_writes":                         0,
	"rss_mb_50k":                          350,
	"grpc_watch_to_slice_p50_vs_bare":     20,
	// 15 more than with no other probes than those by HTTP and TCP.
	"manager_mb": 92.8,
}

// Report is what the bench has found, in the order in which it was found.
type Report struct {
	names   []string
	values  map[string]float64
	spreads map[string][]float64
}

// New returns a report without figures.
func New() *Report {
	return &Report{values: map[string]float64{}, spreads: map[string][]float64{}}
}

// Add adds a figure.
func (r *Report) Add(name string, value float64) {
	r.names = append(r.names, name)
	r.values[name] = value
}

// Spread keeps the least and the most of the values behind a median.
func (r *Report) Spread(name string, values []float64) {
	if len(values) > 1 {
		r.spreads[name] = []float64{slices.Min(values), slices.Max(values)}
	}
}

// Over names the figures above their limits, and says by how much they are.
func (r *Report) Over() (list []string) {
	for _, name := range r.names {
		if limit, ok := limits[name]; ok && r.values[name] > limit {
			list = append(list, fmt.Sprintf("%s is %s, %.0f%% above its limit of %s", name, number(r.values[name]), 100*(r.values[name]/limit-1), number(limit)))
		}
	}
	return list
}

// Print writes a table of all figures, with their limits.
func (r *Report) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVALUE\tSPREAD\tLIMIT\t")
	for _, name := range r.names {
		spread, bound, verdict := "", "", ""
		if between, ok := r.spreads[name]; ok {
			spread = fmt.Sprintf("%s to %s", number(between[0]), number(between[1]))
		}
		if limit, ok := limits[name]; ok {
			bound, verdict = number(limit), "ok"
			if r.values[name] > limit {
				verdict = "OVER"
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, number(r.values[name]), spread, bound, verdict)
	}
	return table.Flush()
}

func number(value float64) string {
	if value == float64(int64(value)) || value >= 1000 {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.3g", value)
}

// Write leaves all figures in a JSON file, the spreads beside them.
func (r *Report) Write(path string) error {
	all := map[string]any{"spread": r.spreads}
	for name, value := range maps.All(r.values) {
		all[name] = value
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
