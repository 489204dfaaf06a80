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
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/go-logr/logr"
)

// version is set by the linker when an image is built.
var version string

// logStart writes the version and the settings that differ from their defaults.
func logStart(log logr.Logger, flags *flag.FlagSet) {
	log.Info("Starting Farpoint", "version", versionOf(debug.ReadBuildInfo()), "go", runtime.Version(), "settings", settings(flags))
}

// versionOf returns the linker's version, or the one that the go command knows.
func versionOf(info *debug.BuildInfo, ok bool) string {
	switch {
	case version != "":
		return version
	case ok && info.Main.Version != "":
		return info.Main.Version
	}
	return "unknown"
}

// settings lists the flags that differ from their defaults.
func settings(flags *flag.FlagSet) []string {
	changed := []string{} // an empty list shows that there are none
	flags.Visit(func(f *flag.Flag) {
		if value := f.Value.String(); value != f.DefValue {
			values := strings.Split(value, ",") // flags that may be repeated join their values
			for i := range values {
				values[i] = redacted(values[i])
			}
			changed = append(changed, "--"+f.Name+"="+strings.Join(values, ","))
		}
	})
	return changed
}

// redacted leaves out everything after the host of a URL: webhooks have secrets in their paths.
func redacted(value string) string {
	parsed, err := url.Parse(value)
	if err != nil || parsed.Host == "" {
		return value
	}
	short := parsed.Scheme + "://" + parsed.Host
	if value == short {
		return value
	}
	return short + "/..."
}
