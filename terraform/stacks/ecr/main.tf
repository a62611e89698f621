module "registry" {
  source = "../../modules/registry"

  force_delete = var.force_delete
  keep_images  = var.keep_images
  name         = var.name
}

module "image_build" {
  source = "../../modules/image_build"

  name         = var.name
  registry_arn = module.registry.repository_arn
  sources      = var.sources
  state_bucket = var.state_bucket
}
