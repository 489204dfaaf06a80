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

// Command promql prints what PromQL expressions ask for, so that tests can hold rules and
// dashboards against the metrics that there are. It reads a JSON list of expressions and writes
// a list of the same length.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// answer describes one expression.
type answer struct {
	// Error says what is wrong with it; empty if nothing is.
	Error string `json:"error,omitempty"`
	// Selectors are what it reads.
	Selectors []selector `json:"selectors,omitempty"`
	// Labels are those that it groups and matches by.
	Labels []string `json:"labels,omitempty"`
}

// selector reads the series of a metric.
type selector struct {
	Metric string `json:"metric"`
	// Labels are those that it selects by.
	Labels []string `json:"labels,omitempty"`
}

func main() {
	var expressions []string
	if err := json.NewDecoder(os.Stdin).Decode(&expressions); err != nil {
		log.Fatal(err)
	}
	answers := make([]answer, len(expressions))
	for i, expression := range expressions {
		answers[i] = analyze(expression)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func analyze(text string) answer {
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var result answer
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			read := selector{Metric: node.Name}
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != labels.MetricName {
					read.Labels = append(read.Labels, matcher.Name)
				}
			}
			result.Selectors = append(result.Selectors, read)
		case *parser.AggregateExpr:
			result.Labels = append(result.Labels, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				result.Labels = append(append(result.Labels, node.VectorMatching.MatchingLabels...), node.VectorMatching.Include...)
			}
		}
		return nil
	})
	return result
}
