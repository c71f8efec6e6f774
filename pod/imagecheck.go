package pod

// ImageState is how an image is found on disk, from good to bad.
type ImageState int

// The states of an image.
const (
	// ImageSound: everything is what its digest says.
	ImageSound ImageState = iota
	// ImageRepaired: what is unpacked of it was damaged, and is not any more.
	ImageRepaired
	// ImageDamaged: what is unpacked of it is damaged and was not mended, since
	// nobody asked for it, or since something runs on it.
	ImageDamaged
	// ImageLost: its content itself is damaged. It counts as not being here.
	ImageLost
)

func (s ImageState) String() string {
	return [...]string{"sound", "repaired", "damaged", "lost"}[s]
}

// ImageCheck is what was found out about one image.
type ImageCheck struct {
	Names []string
	State ImageState
	// Findings are a line each; none for a sound image.
	Findings []string
}
