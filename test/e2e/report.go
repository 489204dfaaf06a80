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

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Row is the result of a scenario.
type Row struct {
	Name string
	// Requests counts the requests of the scenario's clients, and Failures those that failed.
	Requests, Failures int
	// LastFailure is the longest time from a fault to the last request that failed because of it.
	LastFailure time.Duration
	// DetectionBound is the longest detection time by the settings of the health check; 0 where
	// nothing dies.
	DetectionBound time.Duration
	// Deaths are the deaths of which LastFailure and DetectionBound are the maxima.
	Deaths []Death
	// HealthyTakenOut counts how often a healthy endpoint lost its traffic.
	HealthyTakenOut int
	// DeadPublished counts endpoints that were still published when the bound of their death, plus
	// [Slack], had passed.
	DeadPublished int
	// SliceWrites are the operator's, during the scenario.
	SliceWrites int
	// Further figures, by a name that ends in the unit.
	Further map[string]float64
}

// Death is what clients noticed of a death.
type Death struct {
	// LastFailure is the time until the last failed request was sent, Out the time until the slices
	// showed the death, and Bound the maximum of Out.
	LastFailure, Out, Bound time.Duration
}

// Died adds a death to the row.
func (r *Row) Died(death Death) {
	r.Deaths = append(r.Deaths, death)
	r.LastFailure = max(r.LastFailure, death.LastFailure)
	r.Gone(death.Out, death.Bound)
	r.Further["medianLastFailureMs"] = milliseconds(median(r.Deaths, func(d Death) time.Duration { return d.LastFailure }))
}

// Gone adds a death without clients: the time until an endpoint was out, and its bound.
func (r *Row) Gone(out, bound time.Duration) {
	r.DetectionBound = max(r.DetectionBound, bound)
	if out > bound+Slack {
		r.DeadPublished++
	}
	r.Further["outMs"] = max(r.Further["outMs"], milliseconds(out))
}

// MedianDelay returns the median time from the bound of a death to its last failure; negative if the
// failure came before.
func (r *Row) MedianDelay() time.Duration {
	return median(r.Deaths, func(d Death) time.Duration { return d.LastFailure - d.Bound })
}

// median returns the median of a figure of deaths, the upper one of two; 0 for none.
func median(deaths []Death, figure func(Death) time.Duration) time.Duration {
	var all []time.Duration
	for _, death := range deaths {
		all = append(all, figure(death))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// MarshalJSON puts the further figures beside the others.
func (r Row) MarshalJSON() ([]byte, error) {
	fields := map[string]any{
		"name": r.Name, "requests": r.Requests, "failures": r.Failures,
		"lastFailureMs": milliseconds(r.LastFailure), "detectionBoundMs": milliseconds(r.DetectionBound),
		"healthyTakenOut": r.HealthyTakenOut, "deadPublished": r.DeadPublished, "sliceWrites": r.SliceWrites,
	}
	for name, value := range r.Further {
		fields[name] = value
	}
	return json.Marshal(fields)
}

func milliseconds(of time.Duration) float64 {
	return float64(of.Round(time.Millisecond).Milliseconds())
}

// Report collects rows of scenarios, which may run at the same time.
type Report struct {
	mu   sync.Mutex
	rows []Row
}

// Add adds a row, or replaces the one with its name: that of a scenario that was repeated.
func (r *Report) Add(row Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = slices.DeleteFunc(r.rows, func(other Row) bool { return other.Name == row.Name })
	r.rows = append(r.rows, row)
}

// sorted returns the rows by name, and the summary at the end.
func (r *Report) sorted() []Row {
	r.mu.Lock()
	defer r.mu.Unlock()
	sorted := slices.SortedFunc(slices.Values(r.rows), func(a, b Row) int { return strings.Compare(a.Name, b.Name) })
	if summary := summarize(sorted); len(summary.Deaths) > 0 {
		sorted = append(sorted, summary)
	}
	return sorted
}

// summarize combines the rows with deaths: it adds up counts, and takes the medians of times.
func summarize(rows []Row) Row {
	summary := Row{Name: "median of all deaths"}
	for i := range rows {
		row := &rows[i]
		if len(row.Deaths) == 0 {
			continue
		}
		summary.Deaths = append(summary.Deaths, row.Deaths...)
		summary.Requests, summary.Failures = summary.Requests+row.Requests, summary.Failures+row.Failures
		summary.DeadPublished += row.DeadPublished
		summary.HealthyTakenOut, summary.SliceWrites = summary.HealthyTakenOut+row.HealthyTakenOut, summary.SliceWrites+row.SliceWrites
	}
	summary.LastFailure = median(summary.Deaths, func(d Death) time.Duration { return d.LastFailure })
	summary.DetectionBound = median(summary.Deaths, func(d Death) time.Duration { return d.Bound })
	summary.Further = map[string]float64{"deaths": float64(len(summary.Deaths)), "medianAfterBoundMs": milliseconds(summary.MedianDelay())}
	for i, death := range summary.Deaths {
		if after := milliseconds(death.LastFailure - death.Bound); i == 0 || after > summary.Further["worstAfterBoundMs"] {
			summary.Further["worstAfterBoundMs"] = after
		}
	}
	return summary
}

// Print writes the report as a table.
func (r *Report) Print(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "scenario\trequests\tfailures\tlast failure\tbound\thealthy taken out\tdead still published\tslice writes\tfurther")
	for _, row := range r.sorted() {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%s\n", row.Name, row.Requests, row.Failures,
			orDash(row.LastFailure), orDash(row.DetectionBound), row.HealthyTakenOut, row.DeadPublished, row.SliceWrites, further(row.Further))
	}
	return table.Flush()
}

func orDash(of time.Duration) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f ms", milliseconds(of))
}

func further(figures map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		parts = append(parts, fmt.Sprintf("%s=%.4g", name, figures[name]))
	}
	return strings.Join(parts, " ")
}

// Save writes e2e.txt and e2e.json to a folder.
func (r *Report) Save(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]any{"scenarios": r.sorted()}, "", "  ")
	if err != nil {
		return err
	}
	table, err := os.Create(filepath.Join(folder, "e2e.txt"))
	if err != nil {
		return err
	}
	return errors.Join(
		r.Print(table),
		table.Close(),
		os.WriteFile(filepath.Join(folder, "e2e.json"), append(text, '\n'), 0o644), //nolint:gosec // for everybody to read
	)
}
