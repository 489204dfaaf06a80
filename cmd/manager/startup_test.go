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
	"runtime/debug"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

func TestLogStart_WritesOnlySettingsThatDiffer(t *testing.T) {
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	bind(flags)
	arguments := []string{
		"--leader-elect", "--max-watches=2048", "--guard-share=0.8", "--denied-cidrs=10.96.0.0/12, 10.244.0.0/16", "--denied-cidrs=fd00::/8",
		"--webhook-url=https://chat.example/hooks/s3cret?token=s3cret", "--webhook-url=https://other.example/s3cret", "--alertmanager-url=https://alertmanager.monitoring:9093",
	}
	if err := flags.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	var line string
	logStart(funcr.New(func(_, args string) { line = args }, funcr.Options{}), flags)

	const want = `"settings"=["--alertmanager-url=https://alertmanager.monitoring:9093" "--denied-cidrs=10.96.0.0/12, 10.244.0.0/16,fd00::/8" ` +
		`"--guard-share=0.8" "--leader-elect=true" "--webhook-url=https://chat.example/...,https://other.example/..."]`
	if !strings.Contains(line, want) {
		t.Errorf("got %s, want %s", line, want)
	}
	for _, part := range []string{`"msg"="Starting Farpoint"`, `"version"="`, `"go"="go1.`} {
		if !strings.Contains(line, part) {
			t.Errorf("%s has no %s", line, part)
		}
	}
	if strings.Contains(line, "s3cret") {
		t.Errorf("%s has the secret of a URL", line)
	}
}

func TestLogStart_WithDefaults_HasNoSettings(t *testing.T) {
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	bind(flags)
	if got := settings(flags); len(got) > 0 {
		t.Errorf("settings are %q, want none", got)
	}
}

func TestVersionOf(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3-0.20260501"}}
	for want, got := range map[string]string{"v1.2.3-0.20260501": versionOf(info, true), "unknown": versionOf(nil, false)} {
		if got != want {
			t.Errorf("version is %q, want %q", got, want)
		}
	}
	version = "v9"
	defer func() { version = "" }()
	if got := versionOf(info, true); got != "v9" {
		t.Errorf("version is %q, want the linker's", got)
	}
}
