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

package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client/config"
)

const reference = "../../docs/flags.md"

// writeDocs makes the test of the reference write it: `make docs`.
var writeDocs = flag.Bool("write-docs", false, "write docs/flags.md")

func TestFlagReference(t *testing.T) {
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	config.RegisterFlags(flags)
	bind(flags)
	var page strings.Builder
	page.WriteString(`<!-- Written by ` + "`make docs`" + ` from the flags themselves. Do not edit. -->

# Flags

The flags of the operator, ` + "`bin/manager`" + `. The Deployment in config/manager sets some of them; an
[overlay](user-guide.md#install) adds others.

| flag | default | meaning |
|---|---|---|
`)
	flags.VisitAll(func(f *flag.Flag) {
		value, meaning := flag.UnquoteUsage(f)
		if value != "" {
			value = " " + value
		}
		standard := ""
		if f.DefValue != "" {
			standard = "`" + f.DefValue + "`"
		}
		if meaning = strings.Join(strings.Fields(meaning), " "); !strings.HasSuffix(meaning, ".") {
			meaning += "."
		}
		fmt.Fprintf(&page, "| `--%s`%s | %s | %s |\n", f.Name, value, standard, strings.ReplaceAll(meaning, "|", "\\|"))
	})
	want := page.String()
	if *writeDocs {
		if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(reference); err != nil || string(got) != want {
		t.Errorf("%s is stale: run `make docs` (%v)", reference, err)
	}
}
