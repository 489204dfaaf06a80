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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"farpoint.dev/farpoint/test/bench/report"
	"farpoint.dev/farpoint/test/bench/statistics"
)

// microBenchmarks is what the benchmarks of single functions have written, which `make bench`
// runs first.
const microBenchmarks = "dist/bench.txt"

// AddAllocations adds what a probe of each scheme allocates, by the benchmarks' output.
func AddAllocations(into *report.Report) error {
	text, err := os.ReadFile(microBenchmarks)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there: run `make bench`, which writes it", microBenchmarks)
	}
	if err != nil {
		return err
	}
	bytes, allocs, order := probeAllocations(string(text))
	for _, name := range order {
		into.Add("allocs_per_probe."+name, statistics.Median(allocs[name]))
		into.Add("bytes_per_probe."+name, statistics.Median(bytes[name]))
	}
	return nil
}

// probeAllocations reads the lines of BenchmarkProbe: bytes and allocations by the name of a
// scheme, with what is asked for besides, and the names in their order.
func probeAllocations(text string) (bytes, allocs map[string][]float64, order []string) {
	bytes, allocs = map[string][]float64{}, map[string][]float64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		name, ok := strings.CutPrefix(fields[0], "BenchmarkProbe/")
		if !ok {
			continue
		}
		if end := strings.LastIndexByte(name, '-'); end >= 0 { // the number of processors
			name = name[:end]
		}
		name = strings.ReplaceAll(name, "/login", "")
		if allocs[name] == nil {
			order = append(order, name)
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			switch {
			case err != nil:
			case fields[i+1] == "B/op":
				bytes[name] = append(bytes[name], value)
			case fields[i+1] == "allocs/op":
				allocs[name] = append(allocs[name], value)
			}
		}
	}
	return bytes, allocs, order
}

// AddSize adds the size of the operator's binary.
func AddSize(into *report.Report) error {
	binary, err := os.Stat("bin/manager")
	if err != nil {
		return fmt.Errorf("look at the operator, which `make bench` builds: %w", err)
	}
	into.Add("manager_mb", float64(binary.Size())/1e6)
	return nil
}
