// protoc-gen-apidoc writes the reference of podd's API, docs/api.md, from the
// comments of its .proto files. It is a protoc plugin, run by buf generate.
// (The known generators of this kind are no longer kept up.)
package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

const head = `<!-- Made from api/podd/v1/*.proto by make generate. -->
# The control API: reference

gRPC, package ` + "`podd.v1`" + `. How the API behaves as a whole is told in the [guide](api-guide.md).

`

func main() {
	protogen.Options{}.Run(func(plugin *protogen.Plugin) error {
		plugin.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		out := plugin.NewGeneratedFile("api.md", "")
		fmt.Fprint(out, head)
		for _, file := range plugin.Files {
			if file.Generate {
				contents(out, file)
			}
		}
		for _, file := range plugin.Files {
			if file.Generate {
				reference(out, file)
			}
		}
		return nil
	})
}

// contents links to a file's methods.
func contents(out *protogen.GeneratedFile, file *protogen.File) {
	for _, service := range file.Services {
		var links []string
		for _, m := range service.Methods {
			links = append(links, fmt.Sprintf("[%s](#%s)", m.Desc.Name(), anchor(methodTitle(m))))
		}
		fmt.Fprintf(out, "- [%s](#%s): %s\n", service.Desc.Name(), anchor(string(service.Desc.Name())), strings.Join(links, ", "))
	}
}

func reference(out *protogen.GeneratedFile, file *protogen.File) {
	for _, service := range file.Services {
		fmt.Fprintf(out, "\n## %s\n\n%s", service.Desc.Name(), paragraphs(service.Comments.Leading))
		for _, m := range service.Methods {
			fmt.Fprintf(out, "\n### %s\n\n%s → %s\n\n%s", methodTitle(m),
				travels(m.Desc.IsStreamingClient(), m.Input), travels(m.Desc.IsStreamingServer(), m.Output), paragraphs(m.Comments.Leading))
		}
	}
	for _, m := range file.Messages {
		message(out, m)
	}
	for _, e := range file.Enums {
		enum(out, e)
	}
}

func methodTitle(m *protogen.Method) string {
	return fmt.Sprintf("%s.%s", m.Parent.Desc.Name(), m.Desc.Name())
}

func travels(stream bool, m *protogen.Message) string {
	if stream {
		return "stream of " + link(m.Desc)
	}
	return link(m.Desc)
}

// message shows a message's fields, then what is declared in it.
func message(out *protogen.GeneratedFile, m *protogen.Message) {
	fmt.Fprintf(out, "\n### %s\n\n%s", title(m.Desc), paragraphs(m.Comments.Leading))
	if len(m.Fields) > 0 {
		fmt.Fprint(out, "\n| field | type | no. | |\n|---|---|---|---|\n")
	}
	for _, f := range m.Fields {
		fmt.Fprintf(out, "| `%s` | %s | %d | %s |\n", f.Desc.Name(), typeOf(f), f.Desc.Number(), cell(about(f)))
	}
	for _, e := range m.Enums {
		enum(out, e)
	}
	for _, inner := range m.Messages {
		if !inner.Desc.IsMapEntry() {
			message(out, inner)
		}
	}
}

func enum(out *protogen.GeneratedFile, e *protogen.Enum) {
	fmt.Fprintf(out, "\n### %s\n\n%s\n| value | no. | |\n|---|---|---|\n", title(e.Desc), paragraphs(e.Comments.Leading))
	for _, v := range e.Values {
		fmt.Fprintf(out, "| `%s` | %d | %s |\n", v.Desc.Name(), v.Desc.Number(), cell(string(v.Comments.Leading)))
	}
}

// about is a field's comment; of a choice it says that only one is set.
func about(f *protogen.Field) string {
	text := string(f.Comments.Leading)
	if f.Oneof != nil && !f.Oneof.Desc.IsSynthetic() {
		text = fmt.Sprintf("(one of `%s`) %s", f.Oneof.Desc.Name(), text)
	}
	return text
}

func typeOf(f *protogen.Field) string {
	name := f.Desc.Kind().String()
	switch {
	case f.Message != nil:
		name = link(f.Message.Desc)
	case f.Enum != nil:
		name = link(f.Enum.Desc)
	}
	switch {
	case f.Desc.IsList():
		return "list of " + name
	case f.Desc.HasOptionalKeyword():
		return name + ", optional"
	}
	return name
}

// title is a message's or an enum's name within the package.
func title(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
}

func link(d protoreflect.Descriptor) string {
	if d.ParentFile().Package() == "google.protobuf" {
		return "google.protobuf." + title(d)
	}
	return fmt.Sprintf("[%s](#%s)", title(d), anchor(title(d)))
}

// anchor is how Markdown names a heading.
func anchor(heading string) string { return strings.ToLower(strings.ReplaceAll(heading, ".", "")) }

// paragraphs is a comment as Markdown: each paragraph on a line of its own.
func paragraphs(c protogen.Comments) string {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(c)), "\n\n") {
		fmt.Fprintf(&b, "%s\n\n", strings.Join(strings.Fields(paragraph), " "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
