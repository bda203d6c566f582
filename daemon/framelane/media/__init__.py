"""Still images: files, EXIF, JPEG and orientation."""
