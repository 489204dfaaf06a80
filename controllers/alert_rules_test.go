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

package controllers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/yaml"

	"farpoint.dev/farpoint/controllers/alerting"
)

const (
	rulesFile      = "../config/prometheus/rules.yaml"
	rulesTestFiles = "../config/prometheus/rules_*_test.yaml"
	dashboardFile  = "../config/grafana/farpoint.json"
	runbookFile    = "../docs/runbook.md"
)

// ruleGroups are what a PrometheusRule and a rule file of Prometheus have in common.
type ruleGroups struct {
	Groups []struct {
		Name  string      `json:"name"`
		Rules []alertRule `json:"rules"`
	} `json:"groups"`
}

// alertRule is an alert, or a recording rule if Record is set.
type alertRule struct {
	Record      string            `json:"record"`
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// rules are all of config/prometheus, those with alerts by the alert's name.
func rules(t *testing.T) (all []alertRule, alerts map[string]alertRule) {
	t.Helper()
	var object struct {
		Spec ruleGroups `json:"spec"`
	}
	readYAML(t, rulesFile, &object)
	alerts = map[string]alertRule{}
	for _, group := range object.Spec.Groups {
		for _, rule := range group.Rules {
			all = append(all, rule)
			if rule.Alert != "" {
				alerts[rule.Alert] = rule
			}
		}
	}
	return all, alerts
}

// runProgram runs one of the programs that `make envtest` builds.
func runProgram(t *testing.T, stdin []byte, name string, arguments ...string) []byte {
	t.Helper()
	folder := os.Getenv("KUBEBUILDER_ASSETS")
	if folder == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: `make test` does that")
	}
	command := exec.Command(filepath.Join(folder, name), arguments...)
	command.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, arguments, err, output, stderr.String())
	}
	return output
}

func TestAlertRules_PromtoolTests_Pass(t *testing.T) {
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	readYAML(t, rulesFile, &object)
	text, err := yaml.Marshal(object.Spec)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	put := func(name string, content []byte) (path string) {
		t.Helper()
		path = filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	runProgram(t, nil, "promtool", "check", "rules", "--lint=all", "--lint-fatal", put("rules.yaml", text))
	for _, file := range ruleTests(t) {
		tests, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		runProgram(t, nil, "promtool", "test", "rules", put(filepath.Base(file), tests))
	}
}

// ruleTests returns the files with tests of the rules.
func ruleTests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(rulesTestFiles)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", rulesTestFiles, err)
	}
	return files
}

// Each alert is shown not to fire yet, to fire, and to have resolved.
func TestAlertRules_EachAlert_IsTested(t *testing.T) {
	stories := map[string]string{}
	for _, name := range ruleTests(t) {
		var file struct {
			Tests []struct {
				AlertRuleTest []struct {
					Alertname string `json:"alertname"`
					ExpAlerts []any  `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			} `json:"tests"`
		}
		readYAML(t, name, &file)
		for _, test := range file.Tests {
			for _, step := range test.AlertRuleTest {
				mark := "-"
				if len(step.ExpAlerts) > 0 {
					mark = "+"
				}
				stories[step.Alertname] += mark
			}
		}
	}
	_, alerts := rules(t)
	for name := range alerts {
		if !regexp.MustCompile(`^(-+[+]+-+)+$`).MatchString(stories[name]) {
			t.Errorf("%s: its test goes %q, and not from silence to firing and back", name, stories[name])
		}
		delete(stories, name)
	}
	if len(stories) > 0 {
		t.Errorf("there are tests for alerts that do not exist: %v", stories)
	}
}

func TestAlerts_RunbookLinks_HaveEntries(t *testing.T) {
	runbook, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^## (\w+)\n\n\*\*(\w+)\.\*\*`).FindAllStringSubmatch(string(runbook), -1) {
		entries[heading[1]+" "+heading[2]] = true
	}
	_, alerts := rules(t)
	for name, rule := range alerts {
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s has no summary or description", name)
		}
		if got, want := rule.Annotations["runbook_url"], alerting.Name(name).RunbookEntry(NewOptions().RunbookURL); got != want {
			t.Errorf("%s: runbook_url %q, want %q", name, got, want)
		}
		if !entries[name+" "+rule.Labels["severity"]] {
			t.Errorf("%s has no entry in the runbook with the severity %q", name, rule.Labels["severity"])
		}
		delete(entries, name+" "+rule.Labels["severity"])
	}
	if len(entries) > 0 {
		t.Errorf("the runbook has entries for what is no alert: %v", slices.Sorted(maps.Keys(entries)))
	}
	for _, name := range alerting.Names() { // what the operator sends by itself
		if rule, ok := alerts[string(name)]; !ok || rule.Labels["severity"] != name.Severity() {
			t.Errorf("%s is not the same alert in config/prometheus", name)
		}
	}
}

// Rules and dashboard ask for metrics and labels that there are.
func TestExpressions_MetricsAndLabels_Exist(t *testing.T) {
	all, _ := rules(t)
	known := labelsOf(documented(t))
	expressions := map[string]string{}
	for _, rule := range all {
		expressions[rule.Alert+rule.Record] = rule.Expr
		if rule.Record != "" { // its name says its labels, as Prometheus' conventions have it
			level, _, _ := strings.Cut(rule.Record, ":")
			known[rule.Record] = strings.Split(level, "_")
		}
	}
	for where, expression := range dashboardExpressions(t) {
		expressions[where] = expression
	}
	sources := slices.Sorted(maps.Keys(expressions))
	var list []string
	for _, source := range sources {
		list = append(list, expressions[source])
	}
	for i, answer := range parseExpressions(t, list) {
		fail := func(format string, arguments ...any) {
			t.Errorf("%s: %s\n%s", sources[i], fmt.Sprintf(format, arguments...), list[i])
		}
		if answer.Error != "" || len(answer.Selectors) == 0 {
			fail("it reads nothing: %s", answer.Error)
		}
		var there []string
		for _, read := range answer.Selectors {
			labels, ok := known[read.Metric]
			if !ok {
				fail("there is no metric %s", read.Metric)
			}
			for _, label := range read.Labels {
				if !slices.Contains(append(labels, "cluster"), label) {
					fail("%s has no label %s", read.Metric, label)
				}
			}
			there = append(there, labels...)
		}
		for _, label := range answer.Labels {
			if !slices.Contains(append(there, "cluster"), label) {
				fail("nothing in it has the label %s", label)
			}
		}
	}
}

// parsedExpression has what an expression reads, and the labels of its result.
type parsedExpression struct {
	Error     string
	Selectors []struct {
		Metric string
		Labels []string
	}
	Labels []string
}

// parseExpressions parses expressions as Prometheus does.
func parseExpressions(t *testing.T, list []string) (parsed []parsedExpression) {
	t.Helper()
	input, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(runProgram(t, input, "promql"), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// labelsOf are the labels of each metric, as queries know it.
func labelsOf(families []*dto.MetricFamily) map[string][]string {
	known := map[string][]string{}
	for _, family := range families {
		labels := []string{}
		for _, pair := range family.Metric[0].Label {
			labels = append(labels, pair.GetName())
		}
		name := family.GetName()
		if family.GetType() == dto.MetricType_HISTOGRAM {
			known[name+"_bucket"] = append(slices.Clone(labels), "le")
			known[name+"_sum"], known[name+"_count"] = labels, labels
			continue
		}
		known[name] = labels
	}
	return known
}

// dashboardExpressions returns the expressions of the panels and of the variables, by their
// places.
func dashboardExpressions(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, RefID string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	readYAML(t, dashboardFile, &dashboard)
	expressions := map[string]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expressions["panel "+panel.Title+" "+target.RefID] = strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
		}
	}
	for _, variable := range dashboard.Templating.List {
		if ask := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(variable.Definition); ask != nil {
			expressions["variable "+variable.Name] = fmt.Sprintf("count by (%s) (%s)", ask[2], ask[1])
		}
	}
	if len(expressions) < 20 {
		t.Fatalf("only %d expressions in %s", len(expressions), dashboardFile)
	}
	return expressions
}
