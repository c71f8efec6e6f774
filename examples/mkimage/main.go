// Command mkimage makes an image archive of one static program, for a machine
// without a registry:
//
//	mkimage -o web.tar -name example.com/web:1 -program ./web
//	mkimage -o busybox.tar -name busybox:1.36 -busybox /bin/busybox
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/podd-io/podd/integration/archive"
)

func main() {
	out := flag.String("o", "", "the archive to write")
	name := flag.String("name", "", "the image's name")
	program := flag.String("program", "", "a static program; it becomes the image's entry point")
	busybox := flag.String("busybox", "", "a static busybox; the image gets all its applets")
	flag.Parse()
	if err := run(*out, *name, *program, *busybox); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(out, name, program, busybox string) error {
	if out == "" || name == "" || (program == "") == (busybox == "") {
		return fmt.Errorf("-o, -name and one of -program and -busybox are needed")
	}
	var img archive.Image
	var err error
	if busybox != "" {
		img, err = archive.Busybox(busybox)
	} else {
		img.Entrypoint = []string{"/program"}
		err = img.Program("/program", program)
	}
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := img.Write(f, name); err != nil {
		return err
	}
	return f.Close()
}
