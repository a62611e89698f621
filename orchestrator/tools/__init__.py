"""One file per outside thing: processes, Terraform, AWS, git, the image and its registry."""
