mock_provider "aws" {}

variables {
  name         = "chatbot"
  force_delete = false
  keep_images  = 30
}

run "a_tag_means_one_image_for_ever_and_every_push_is_scanned" {
  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "Tags can be moved."
  }

  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "A push is not scanned."
  }

  assert {
    condition     = output.repository_name == "chatbot"
    error_message = "The repository is not named after the deployment."
  }
}

run "only_the_newest_images_are_kept" {
  variables {
    keep_images = 7
  }

  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this.policy).rules[0].selection == { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 7 }
    error_message = "The lifecycle policy does not count to keep_images."
  }
}

run "images_are_safe_from_destroy_unless_the_setting_says_otherwise" {
  assert {
    condition     = !aws_ecr_repository.this.force_delete
    error_message = "destroy would delete images."
  }
}

run "force_delete_is_handed_on" {
  variables {
    force_delete = true
  }

  assert {
    condition     = aws_ecr_repository.this.force_delete
    error_message = "force_delete is not used."
  }
}

run "keeping_less_than_two_images_is_refused" {
  command = plan

  variables {
    keep_images = 1
  }

  expect_failures = [var.keep_images]
}
