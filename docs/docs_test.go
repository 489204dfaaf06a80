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

// Package docs_test holds the documentation to the code.
package docs_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

const (
	readme = "../README.md"
	guide  = "user-guide.md"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// constants are the string constants of the API whose name ends like this, by name.
func constants(t *testing.T, suffix string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../api/v1/*.go")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || !strings.HasSuffix(spec.Names[0].Name, suffix) || len(spec.Values) != 1 {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if values[spec.Names[0].Name], err = strconv.Unquote(literal.Value); err != nil {
					t.Fatal(err)
				}
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("no constants ...%s in ../api/v1", suffix)
	}
	return values
}

func TestGuideExplainsEveryReason(t *testing.T) {
	text := read(t, guide)
	ofConditions, ofEndpoints, ok := strings.Cut(text, "### Reasons of endpoints")
	if !ok {
		t.Fatal("the guide has no section for the reasons of endpoints")
	}
	for name, reason := range constants(t, "Reason") {
		if !strings.Contains(ofConditions, fmt.Sprintf("| `%s` |", reason)) {
			t.Errorf("the guide does not explain %s, %q", name, reason)
		}
	}
	for _, reason := range probes.Reasons() {
		if !strings.Contains(ofEndpoints, fmt.Sprintf("| `%s` |", reason)) {
			t.Errorf("the guide does not explain the probes' reason %q", reason)
		}
	}
}

func TestGuideNamesEveryCondition(t *testing.T) {
	_, text, _ := strings.Cut(read(t, guide), "\n### Conditions\n")
	text, _, _ = strings.Cut(text, "\n### ")
	for name, kind := range constants(t, "Condition") {
		if !strings.Contains(text, fmt.Sprintf("| `%s` |", kind)) {
			t.Errorf("the guide does not name %s, %q", name, kind)
		}
	}
}

func TestGuideShowsEverySample(t *testing.T) {
	text := read(t, guide)
	files, err := filepath.Glob("../config/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		if filepath.Base(file) != "kustomization.yaml" && !strings.Contains(text, "]("+file+")") {
			t.Errorf("the guide does not link to %s", file)
		}
	}
}

// The README mentions every field of these types, and no others.
func TestReadmeNamesTheFieldsThereAre(t *testing.T) {
	_, table, _ := strings.Cut(read(t, readme), "| field of `spec` |")
	table, _, _ = strings.Cut(table, "\n\n")
	var named []string
	for _, cell := range regexp.MustCompile("(?m)^[|] ([^|]*) [|]").FindAllStringSubmatch(table, -1) {
		for _, field := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell[1], -1) {
			name := field[1]
			if strings.HasPrefix(name, ".") { // has the parent of the previous field
				name = named[len(named)-1][:strings.LastIndex(named[len(named)-1], ".")] + name
			}
			named = append(named, name)
		}
	}
	want := map[string]bool{}
	for prefix, kind := range map[string]reflect.Type{
		"":             reflect.TypeFor[farpointv1.ExternalServiceSpec](),
		"endpoints[].": reflect.TypeFor[farpointv1.Endpoint](),
		"healthCheck.": reflect.TypeFor[farpointv1.HealthCheck](),
	} {
		for _, field := range reflect.VisibleFields(kind) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if field.Type.Kind() == reflect.Slice {
				name += "[]"
			}
			want[prefix+name] = true
		}
	}
	delete(want, "healthCheck") // its fields are named instead
	for _, name := range named {
		if !want[name] {
			t.Errorf("the README mentions spec.%s, which is not a field or is listed twice", name)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("the README does not mention spec.%s", name)
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestReadmeManifestsAreRead(t *testing.T) {
	kinds := map[string]any{"Service": &corev1.Service{}, "ExternalService": &farpointv1.ExternalService{}}
	for _, block := range yamlBlock.FindAllStringSubmatch(read(t, readme), -1) {
		var head struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(block[1]), &head); err != nil {
			t.Fatal(err)
		}
		into, ok := kinds[head.Kind]
		if !ok {
			t.Errorf("a manifest of the kind %q, or a second one", head.Kind)
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(block[1]), into); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
		delete(kinds, head.Kind)
	}
	if len(kinds) > 0 {
		t.Errorf("no manifest for %v", kinds)
	}
}

// The guide shows an ExternalServicePolicy, and parts of ExternalServices: with spec, or the
// part below it.
func TestGuideManifestsAreRead(t *testing.T) {
	decode := func(text string, into any) {
		t.Helper()
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	policies, parts := 0, 0
	for _, block := range yamlBlock.FindAllStringSubmatch(read(t, guide), -1) {
		switch text := block[1]; {
		case strings.Contains(text, "kind: ExternalServicePolicy\n"):
			decode(text, &farpointv1.ExternalServicePolicy{})
			policies++
		case strings.HasPrefix(text, "  "):
			text = "spec:\n" + text
			fallthrough
		case strings.HasPrefix(text, "spec:"):
			decode(text, &farpointv1.ExternalService{})
			parts++
		}
	}
	if policies == 0 || parts == 0 {
		t.Errorf("%d policies and %d parts of ExternalServices were found", policies, parts)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	for _, file := range append(contributorDocuments(t), readme, guide, "runbook.md", "api.md", "metrics.md", "flags.md", "e2e.md") {
		for _, match := range link.FindAllStringSubmatch(read(t, file), -1) {
			path, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(file), path)
			if path == "" {
				target = file
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", file, match[1])
			} else if anchor != "" && !hasAnchor(read(t, target), anchor) {
				t.Errorf("%s: %s has no such heading", file, match[1])
			}
		}
	}
}

// hasAnchor reports whether a heading has this anchor, as GitHub makes it.
func hasAnchor(text, anchor string) bool {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		slug := bytes.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				return r
			default:
				return -1
			}
		}, []byte(strings.ToLower(heading[1])))
		if string(slug) == anchor {
			return true
		}
	}
	return false
}

// Every make target in a shell block exists.
func TestMakeTargetsExist(t *testing.T) {
	makefile := read(t, "../Makefile")
	for _, file := range append(contributorDocuments(t), readme, guide) {
		for _, match := range regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z0-9 ,-]*)").FindAllStringSubmatch(read(t, file), -1) {
			for target := range strings.FieldsSeq(match[1]) {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).MatchString(makefile) {
					t.Errorf("%s: there is no `make %s`", file, target)
				}
			}
		}
	}
}

// A flag in the documents is one of the operator's, or one of kubectl's.
func TestFlagsExist(t *testing.T) {
	reference := read(t, "flags.md")
	for _, file := range append(contributorDocuments(t), readme, guide, "runbook.md", "e2e.md") {
		for _, match := range regexp.MustCompile("`--([a-z][a-z-]*)").FindAllStringSubmatch(read(t, file), -1) {
			if match[1] != "cascade" && match[1] != "server-side" && !strings.Contains(reference, "| `--"+match[1]+"` ") {
				t.Errorf("%s: the operator has no flag --%s", file, match[1])
			}
		}
	}
}
